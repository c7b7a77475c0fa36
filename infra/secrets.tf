# Secrets are made empty: what is in them is put there by `cargo xtask deploy` or by hand (docs/DEPLOY.md), and never
# stands in Terraform's state. Functions read them when they start; the one that a new one replaced stays readable as
# the version AWSPREVIOUS, so that a secret is rotated without a gap.
locals {
  secrets = merge(
    {
      "ingest" = "What isolates sign their reports with; the Worker's CUTOVER_INGEST_SECRET."
      "edge"   = "What opens the Worker's /_cutover/decide; its CUTOVER_EDGE_TOKEN. No function reads it."
      "kv"     = "The Cloudflare API token that may write the KV namespace."
      "root"   = "The bearer token of the first start. Switched off by root_token = false."
    },
    var.webhook_url == "" ? {} : { "webhook" = "What notifications are signed with." },
  )
}

resource "aws_secretsmanager_secret" "secret" {
  for_each                = local.secrets
  name                    = "${local.name}/${each.key}"
  description             = each.value
  recovery_window_in_days = var.secret_recovery_days
}
