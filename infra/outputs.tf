# Values for the command line and wrangler; `cargo xtask deploy` reads `terraform output -json`.
output "management_url" {
  description = "Value of CUTOVER_URL for the command line."
  value       = trimsuffix(aws_lambda_function_url.url["management"].function_url, "/")
}

output "ingest_url" {
  description = "Value of INGEST_URL for the Worker."
  value       = trimsuffix(aws_lambda_function_url.url["ingest"].function_url, "/")
}

output "region" {
  description = "The AWS region."
  value       = var.region
}

output "table" {
  description = "The DynamoDB table."
  value       = aws_dynamodb_table.cutover.name
}

output "functions" {
  description = "Names of the Lambda functions, by their role."
  value       = { for name, function in aws_lambda_function.function : name => function.function_name }
}

output "secrets" {
  description = "ARNs of the secrets to be filled, by their purpose."
  value       = { for name, secret in aws_secretsmanager_secret.secret : name => secret.arn }
}
