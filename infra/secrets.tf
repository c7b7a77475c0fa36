# Secrets are created empty. `cargo xtask deploy` or an operator (docs/DEPLOY.md) fills them, so their
# values never appear in Terraform's state. Functions read them on first use, and again while they are
# empty or after they were refused. A replaced value stays readable as the version AWSPREVIOUS, which is
# accepted for "ingest" alone.
locals {
  secrets = merge(
    {
      "ingest" = "Signs the reports of isolates; CUTOVER_INGEST_SECRET of the Worker."
      "edge"   = "Bearer token for /_cutover/decide; CUTOVER_EDGE_TOKEN of the Worker. No function reads it."
      "kv"     = "The Cloudflare API token that may write the KV namespace."
      "root"   = "The bearer token for the first start. Disabled by root_token = false."
    },
    var.webhook_url == "" ? {} : { "webhook" = "Signs notifications." },
  )
}

resource "aws_secretsmanager_secret" "secret" {
  for_each                = local.secrets
  name                    = "${local.name}/${each.key}"
  description             = each.value
  recovery_window_in_days = var.secret_recovery_days
}
