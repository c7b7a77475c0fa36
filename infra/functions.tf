locals {
  archives = startswith(var.archives, "/") ? var.archives : "${path.module}/${var.archives}"

  variables = {
    CUTOVER_TABLE = aws_dynamodb_table.cutover.name
    RUST_LOG      = var.log_level
  }
  # Access to Workers KV, for the functions that publish.
  kv_variables = {
    CUTOVER_KV_API       = "https://api.cloudflare.com/client/v4/accounts/${var.cloudflare_account_id}"
    CUTOVER_KV_NAMESPACE = var.kv_namespace_id
    CUTOVER_KV_TOKEN_ARN = aws_secretsmanager_secret.secret["kv"].arn
  }
  webhook_variables = var.webhook_url == "" ? {} : {
    CUTOVER_WEBHOOK_URL        = var.webhook_url
    CUTOVER_WEBHOOK_SECRET_ARN = aws_secretsmanager_secret.secret["webhook"].arn
  }
  jwt_variables = var.jwt == null ? {} : {
    CUTOVER_JWT_JWKS_URL   = var.jwt.jwks_url
    CUTOVER_JWT_ISSUER     = var.jwt.issuer
    CUTOVER_JWT_AUDIENCE   = var.jwt.audience
    CUTOVER_JWT_ROLE_CLAIM = var.jwt.role_claim
  }
  root_variables  = var.root_token ? { CUTOVER_ROOT_TOKEN_ARN = aws_secretsmanager_secret.secret["root"].arn } : {}
  trace_variables = var.otlp_endpoint == "" ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT = var.otlp_endpoint }

  functions = {
    management = {
      description = "Cutover: the management API"
      timeout     = 30
      memory      = 256
      concurrency = var.concurrency.management
      secrets     = var.root_token ? ["kv", "root"] : ["kv"]
      variables = merge(local.kv_variables, local.jwt_variables, local.root_variables, {
        CUTOVER_RATE_LIMIT = tostring(var.requests_per_second.management)
        CUTOVER_TWO_PERSON = tostring(var.two_person_approval)
      })
    }
    ingest = {
      description = "Cutover: ingests the reports of isolates"
      timeout     = 15
      memory      = 256
      concurrency = var.concurrency.ingest
      secrets     = ["ingest"]
      variables = {
        CUTOVER_INGEST_SECRET_ARN = aws_secretsmanager_secret.secret["ingest"].arn
        CUTOVER_RATE_LIMIT        = tostring(var.requests_per_second.ingest)
      }
    }
    evaluate = {
      description = "Cutover: evaluates measurements into evidence, every minute"
      timeout     = 50
      memory      = 512
      concurrency = -1
      secrets     = []
      variables   = {}
    }
    promote = {
      description = "Cutover: moves canaries, publishes and notifies, every minute"
      timeout     = 50
      memory      = 256
      concurrency = -1
      secrets     = var.webhook_url == "" ? ["kv"] : ["kv", "webhook"]
      variables   = merge(local.kv_variables, local.webhook_variables)
    }
  }
}

resource "aws_cloudwatch_log_group" "function" {
  for_each          = local.functions
  name              = "/aws/lambda/${local.name}-${each.key}"
  retention_in_days = var.log_retention_days
}

resource "aws_lambda_function" "function" {
  for_each                       = local.functions
  function_name                  = "${local.name}-${each.key}"
  description                    = each.value.description
  role                           = aws_iam_role.function[each.key].arn
  filename                       = "${local.archives}/${each.key}/bootstrap.zip"
  source_code_hash               = filebase64sha256("${local.archives}/${each.key}/bootstrap.zip")
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = ["arm64"]
  timeout                        = each.value.timeout
  memory_size                    = each.value.memory
  reserved_concurrent_executions = each.value.concurrency

  environment {
    variables = merge(local.variables, local.trace_variables, each.value.variables)
  }
  # The log group has the name that Lambda would give it; created here, it has its retention from the
  # first line on.
  depends_on = [aws_iam_role_policy.function, aws_cloudwatch_log_group.function]
}

# Isolates sign their reports, so ingest needs no authentication by AWS; management can require it.
resource "aws_lambda_function_url" "url" {
  for_each           = { management = var.management_url_auth, ingest = "NONE" }
  function_name      = aws_lambda_function.function[each.key].function_name
  authorization_type = each.value
}

# A function URL without AWS_IAM must be open to all callers; the function checks tokens and signatures.
resource "aws_lambda_permission" "url" {
  for_each               = { for name, auth in { management = var.management_url_auth, ingest = "NONE" } : name => auth if auth == "NONE" }
  statement_id           = "function-url"
  action                 = "lambda:InvokeFunctionUrl"
  function_name          = aws_lambda_function.function[each.key].function_name
  principal              = "*"
  function_url_auth_type = "NONE"
}
