# What the command line and wrangler need; `terraform output -json` is what `cargo xtask deploy` reads.
output "management_url" {
  description = "CUTOVER_URL of the command line."
  value       = trimsuffix(aws_lambda_function_url.url["management"].function_url, "/")
}

output "ingest_url" {
  description = "INGEST_URL of the Worker."
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
  description = "The functions, by what they do."
  value       = { for name, function in aws_lambda_function.function : name => function.function_name }
}

output "secrets" {
  description = "The secrets to be filled, by what they are for."
  value       = { for name, secret in aws_secretsmanager_secret.secret : name => secret.arn }
}
