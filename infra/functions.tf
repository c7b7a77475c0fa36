locals {
  archives = startswith(var.archives, "/") ? var.archives : "${path.module}/${var.archives}"

  variables = {
    CUTOVER_TABLE          = aws_dynamodb_table.cutover.name
    CUTOVER_ARRIVALS_TABLE = aws_dynamodb_table.arrivals.name
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

  # A line for each batch and each question would cost more than storing them.
  log_levels = { ask = "warn", ingest = "warn" }

  management = {
    archive = "management"
    policy  = "management"
    # With root_token = false no variable names the secret of root, but that of the version before may: a rollback has the
    # variables of its version, and the permissions of today.
    secrets = ["kv", "root"]
    variables = merge(local.kv_variables, local.jwt_variables, local.root_variables, {
      CUTOVER_RATE_LIMIT       = tostring(var.requests_per_second.management)
      CUTOVER_TWO_PERSON       = tostring(var.two_person_approval)
      CUTOVER_EXPERIMENT_USERS = tostring(var.experiment_users)
    })
  }

  functions = {
    management = merge(local.management, {
      description = "Cutover: the management API"
    })
    # The same program with the same rights, and with instances of its own: nothing that fills the management function
    # keeps an emergency from being declared.
    emergency = merge(local.management, {
      description = "Cutover: declares and clears emergencies"
      variables   = merge(local.management.variables, { CUTOVER_EMERGENCY_ONLY = "true" })
    })
    ingest = {
      description = "Cutover: ingests the reports of isolates"
      archive     = "ingest"
      policy      = "ingest"
      secrets     = ["ingest"]
      variables = {
        CUTOVER_INGEST_SECRET_ARN = aws_secretsmanager_secret.secret["ingest"].arn
        CUTOVER_RATE_LIMIT        = tostring(var.requests_per_second.ingest)
      }
    }
    # The same secret, and instances of its own: a burst of reports does not keep questions from being answered.
    ask = {
      description = "Cutover: answers the questions of isolates"
      archive     = "ask"
      policy      = "ask"
      secrets     = ["ingest"]
      variables = {
        CUTOVER_INGEST_SECRET_ARN = aws_secretsmanager_secret.secret["ingest"].arn
        CUTOVER_RATE_LIMIT        = tostring(var.requests_per_second.ingest)
      }
    }
    evaluate = {
      description = "Cutover: evaluates measurements and moves canaries, started every minute"
      archive     = "evaluate"
      policy      = "evaluate"
      secrets     = var.webhook_url == "" ? ["kv"] : ["kv", "webhook"]
      # It works until shortly before its end; the invocations after it stand by.
      variables = merge(local.kv_variables, local.webhook_variables, {
        CUTOVER_EVALUATION_MS    = tostring((var.timeout_seconds.evaluate - 10) * 1000)
        CUTOVER_EXPERIMENT_USERS = tostring(var.experiment_users)
      })
    }
    promote = {
      description = "Cutover: publishes and notifies, every minute"
      archive     = "promote"
      policy      = "promote"
      secrets     = var.webhook_url == "" ? ["kv"] : ["kv", "webhook"]
      # It evaluates while `evaluate` does not, by the same settings: a phase that it begins must remember as many users.
      variables = merge(local.kv_variables, local.webhook_variables, {
        CUTOVER_EXPERIMENT_USERS = tostring(var.experiment_users)
      })
    }
  }
  # Differs with every change of any function. It is in the description of each, so that all of them get a new version
  # at the same time, and all of them can return to the version before.
  release = substr(sha256(jsonencode([
    for name, function in local.functions : [
      fileexists("${local.archives}/${function.archive}/bootstrap.zip") ? filebase64sha256("${local.archives}/${function.archive}/bootstrap.zip") : "",
      merge(local.variables, local.trace_variables, function.variables, local.log_levels, { level = var.log_level }),
      var.memory_mb[name],
      var.timeout_seconds[name],
    ]
  ])), 0, 12)

  # `cargo xtask deploy` compares it with the account's limit.
  reserved_concurrency = sum([for instances in values(var.concurrency) : max(instances, 0)])
}

resource "aws_cloudwatch_log_group" "function" {
  for_each          = local.functions
  name              = "/aws/lambda/${local.name}-${each.key}"
  retention_in_days = var.log_retention_days
}

resource "aws_lambda_function" "function" {
  for_each                       = local.functions
  function_name                  = "${local.name}-${each.key}"
  description                    = "${each.value.description} (${local.release})"
  role                           = aws_iam_role.function[each.key].arn
  filename                       = "${local.archives}/${each.value.archive}/bootstrap.zip"
  source_code_hash               = filebase64sha256("${local.archives}/${each.value.archive}/bootstrap.zip")
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = ["arm64"]
  timeout                        = var.timeout_seconds[each.key]
  memory_size                    = var.memory_mb[each.key]
  reserved_concurrent_executions = var.concurrency[each.key]
  publish                        = true

  environment {
    variables = merge(local.variables, local.trace_variables, each.value.variables, {
      RUST_LOG = lookup(local.log_levels, each.key, var.log_level)
    })
  }
  # Functions write JSON. Lambda's own lines are half of the volume, and say nothing that a metric does not.
  logging_config {
    log_format            = "JSON"
    application_log_level = upper(lookup(local.log_levels, each.key, var.log_level))
    system_log_level      = "WARN"
    log_group             = aws_cloudwatch_log_group.function[each.key].name
  }
  depends_on = [aws_iam_role_policy.function]
}

# What URLs and schedules call. Every change of a function publishes a version; `cargo xtask deploy --rollback` points
# this alias at the version before.
resource "aws_lambda_alias" "live" {
  for_each         = local.functions
  name             = "live"
  function_name    = aws_lambda_function.function[each.key].function_name
  function_version = aws_lambda_function.function[each.key].version
}
