# Each alarm has a chapter of the same name in docs/OPERATIONS.md. Functions write one JSON object per
# line; these filters count by `event`, which is a stable name.
locals {
  events = {
    publication-lag = {
      function = "promote", pattern = "{ $.event = \"tick\" }", value = "$.lag"
      alarm    = "Changes are committed, but Workers KV does not have them: the edge uses an older revision."
      over     = 0, periods = 3, statistic = "Maximum"
    }
    batches-refused = {
      function = "ingest", pattern = "{ $.event = \"batch_refused\" }", value = "1"
      alarm    = "Ingest refuses the reports of isolates: canaries lack evidence, and the kill switch its fast path."
      over     = 20, periods = 2, statistic = "Sum"
    }
    canary-rolled-back = {
      function = "promote", pattern = "{ $.event = \"rollback\" }", value = "1"
      alarm    = "A canary was rolled back automatically: the new backend did worse."
      over     = 0, periods = 1, statistic = "Sum"
    }
    isolates-lost = {
      function = "evaluate", pattern = "{ $.event = \"isolates_lost\" }", value = "$.lost"
      alarm    = "Isolates fell silent before their final report: their last counts are unknown."
      over     = 50, periods = 3, statistic = "Sum"
    }
    flag-unreadable = {
      function = "evaluate", pattern = "{ $.event = \"flag_unreadable\" }", value = "1"
      alarm    = "The counts of a flag cannot be evaluated: its canary does not climb and is not rolled back."
      over     = 0, periods = 3, statistic = "Sum"
    }
    flag-gap = {
      function = "evaluate", pattern = "{ $.event = \"flag_gap\" }", value = "1"
      alarm    = "Counts of a flag have expired before they could be evaluated: its canary does not climb until it is resumed."
      over     = 0, periods = 1, statistic = "Sum"
    }
    canary-undecided = {
      function = "promote", pattern = "{ $.event = \"canary_undecided\" }", value = "1"
      alarm    = "An item of a canary cannot be read: the canary does not climb and is not rolled back."
      over     = 0, periods = 3, statistic = "Sum"
    }
    sign-in-refused = {
      function = "management", pattern = "{ $.event = \"sign_in_refused\" }", value = "1"
      alarm    = "Someone tries bearer tokens, or a client missed a rotation."
      over     = 20, periods = 1, statistic = "Sum"
    }
  }
  ticks = toset(["evaluate", "promote"])
}

resource "aws_cloudwatch_log_metric_filter" "event" {
  for_each       = local.events
  name           = "${local.name}-${each.key}"
  log_group_name = aws_cloudwatch_log_group.function[each.value.function].name
  pattern        = each.value.pattern
  metric_transformation {
    name      = each.key
    namespace = local.name
    value     = each.value.value
  }
}

resource "aws_cloudwatch_metric_alarm" "event" {
  for_each            = local.events
  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.alarm} docs/OPERATIONS.md#${each.key}"
  namespace           = local.name
  metric_name         = each.key
  statistic           = each.value.statistic
  period              = 60
  evaluation_periods  = each.value.periods
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.over
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}

# Ticks that failed, and ticks that never began.
resource "aws_cloudwatch_metric_alarm" "tick_failed" {
  for_each            = local.ticks
  alarm_name          = "${local.name}-${each.key}-failed"
  alarm_description   = "The scheduled function ${each.key} failed three minutes in a row. docs/OPERATIONS.md#tick-failed"
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = aws_lambda_function.function[each.key].function_name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}

resource "aws_cloudwatch_metric_alarm" "tick_missing" {
  for_each            = local.ticks
  alarm_name          = "${local.name}-${each.key}-missing"
  alarm_description   = "The scheduled function ${each.key} was not started for five minutes. docs/OPERATIONS.md#tick-missing"
  namespace           = "AWS/Lambda"
  metric_name         = "Invocations"
  dimensions          = { FunctionName = aws_lambda_function.function[each.key].function_name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name          = "${local.name}-dead-letters"
  alarm_description   = "The schedule could not start a function at all. docs/OPERATIONS.md#dead-letters"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letters.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
}
