# Values for the command line and wrangler; `cargo xtask deploy` reads `terraform output -json`.
locals {
  function_urls = { for name, url in aws_lambda_function_url.url : name => trimsuffix(url.function_url, "/") }
  called_urls   = var.front.enabled ? { for name in keys(local.urls) : name => local.front_url } : local.function_urls
}

output "management_url" {
  description = "Value of CUTOVER_URL for the command line."
  value       = local.called_urls["management"]
}

output "emergency_url" {
  description = "Value of CUTOVER_EMERGENCY_URL for the command line: never behind CloudFront, so that it depends on less."
  value       = local.function_urls["emergency"]
}

output "ingest_url" {
  description = "Value of INGEST_URL for the Worker."
  value       = local.called_urls["ingest"]
}

output "ask_url" {
  description = "Value of ASK_URL for the Worker: never behind CloudFront, so that the kill switch depends on less."
  value       = local.function_urls["ask"]
}

output "alarm_topic" {
  description = "ARN of the SNS topic that alarms notify."
  value       = aws_sns_topic.alarms.arn
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
