# One role per function, with the least permissions. policies/NAME.json lists the actions and the
# partitions of the table that they may touch; a test compares them with the calls of each function. The
# emergency function is the program of management, and has its policy.
data "aws_iam_policy_document" "assume_function" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "function" {
  for_each           = local.functions
  name               = "${local.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.assume_function.json
}

locals {
  table_policies = {
    for name, function in local.functions :
    name => jsondecode(file("${path.module}/policies/${function.policy}.json"))
  }
  # The actions on the table of batches and its stream, by program.
  arrivals_policies = jsondecode(file("${path.module}/arrivals.json"))
}

data "aws_iam_policy_document" "function" {
  for_each = local.functions

  dynamic "statement" {
    for_each = local.table_policies[each.key]
    content {
      actions   = [statement.key]
      resources = [aws_dynamodb_table.cutover.arn]
      condition {
        test     = "ForAllValues:StringLike"
        variable = "dynamodb:LeadingKeys"
        values   = statement.value
      }
      # The condition above also holds for a request without keys.
      condition {
        test     = "Null"
        variable = "dynamodb:LeadingKeys"
        values   = ["false"]
      }
    }
  }
  dynamic "statement" {
    for_each = [for actions in [lookup(local.arrivals_policies, each.value.policy, [])] : actions if length(actions) > 0]
    content {
      actions   = statement.value
      resources = [aws_dynamodb_table.arrivals.arn, "${aws_dynamodb_table.arrivals.arn}/stream/*"]
    }
  }
  dynamic "statement" {
    for_each = length(each.value.secrets) == 0 ? [] : [each.value.secrets]
    content {
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [for name in statement.value : aws_secretsmanager_secret.secret[name].arn]
    }
  }
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.function[each.key].arn}:*"]
  }
}

resource "aws_iam_role_policy" "function" {
  for_each = local.functions
  name     = "cutover"
  role     = aws_iam_role.function[each.key].id
  policy   = data.aws_iam_policy_document.function[each.key].json
}
