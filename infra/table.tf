# The single source of truth. lambda/src/store/keys.rs defines the keys.
resource "aws_dynamodb_table" "cutover" {
  name                        = coalesce(var.table_name, local.name)
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "pk"
    type = "S"
  }
  attribute {
    name = "sk"
    type = "S"
  }

  # Responses kept for idempotency expire; configuration and audit log stay.
  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }
  point_in_time_recovery {
    enabled = true
  }
  server_side_encryption {
    enabled = true
  }

  lifecycle {
    # Another environment's variables would rename, and so replace, everything in this state.
    precondition {
      condition     = terraform.workspace == var.environment
      error_message = "This is the workspace ${terraform.workspace}, and the variables are those of ${var.environment}: `terraform workspace select -or-create ${var.environment}` first."
    }
  }
}

# The batches of isolates. Its stream is the log that evaluation folds; what was folded is in the ledgers, so it needs no
# backup. Its name does not follow var.table_name: after a restore the ledgers of the backup read this log on.
# lambda/src/store/arrivals.rs defines its attributes.
resource "aws_dynamodb_table" "arrivals" {
  name             = "${local.name}-arrivals"
  billing_mode     = "PAY_PER_REQUEST"
  hash_key         = "pk"
  range_key        = "sk"
  stream_enabled   = true
  stream_view_type = "NEW_IMAGE"

  attribute {
    name = "pk"
    type = "B"
  }
  attribute {
    name = "sk"
    type = "N"
  }
  ttl {
    attribute_name = "x"
    enabled        = true
  }
  server_side_encryption {
    enabled = true
  }
}
