# Alarms about what AWS measures itself. Each names its chapter in docs/OPERATIONS.md.
locals {
  ticks = toset(["evaluate", "promote"])

  # Numbers of a function that Lambda counts by the minute. An alarm fires if each of `periods` minutes is over the limit.
  lambda_alarms = merge(
    {
      for name, _ in local.functions : "${name}-throttled" => {
        function = name, metric = "Throttles", statistic = "Sum", over = 0, periods = 3
        alarm    = "Calls of ${name} are refused, because all of its instances are busy. docs/OPERATIONS.md#throttled"
      }
    },
    {
      # An invocation of evaluate is as long as it is meant to be.
      for name, _ in local.functions : "${name}-slow" => {
        function = name, metric = "Duration", statistic = "Maximum", over = 800 * var.timeout_seconds[name], periods = 3
        alarm    = "${name} comes near its time limit of ${var.timeout_seconds[name]} s. docs/OPERATIONS.md#slow"
      } if name != "evaluate"
    },
    {
      for name, _ in local.urls : "${name}-failing" => {
        function = name, metric = "Url5xxCount", statistic = "Sum", over = 5, periods = 3
        alarm    = "${name} answers with a status of 500 or above, or not at all. docs/OPERATIONS.md#failing"
      }
    },
    {
      for name in local.ticks : "${name}-failed" => {
        function = name, metric = "Errors", statistic = "Sum", over = 0, periods = 3
        alarm    = "The scheduled function ${name} failed three minutes in a row. docs/OPERATIONS.md#tick-failed"
      }
    },
  )

  # DynamoDB counts these by operation only, so an alarm of a table adds up those that the functions may call. A
  # transaction is an operation of its own, whatever it does to its items. Of a stream, GetRecords alone is counted.
  table_actions = {
    table    = concat(["dynamodb:TransactWriteItems"], flatten([for policy in values(local.table_policies) : keys(policy)]))
    arrivals = flatten(values(local.arrivals_policies))
  }
  uncounted = ["ConditionCheckItem", "DescribeStream", "DescribeTable", "GetShardIterator"]
  table_alarms = {
    for pair in setproduct(keys(local.table_actions), ["SystemErrors", "ThrottledRequests"]) : "${pair[0]}-${pair[1]}" => {
      table      = { table = aws_dynamodb_table.cutover.name, arrivals = aws_dynamodb_table.arrivals.name }[pair[0]]
      metric     = pair[1]
      operations = setsubtract([for action in local.table_actions[pair[0]] : trimprefix(action, "dynamodb:")], local.uncounted)
    }
  }

  queue_alarms = {
    dead-letters = { metric = "ApproximateNumberOfMessagesVisible", over = 0, alarm = "The schedule could not start a function at all." }
    dead-letters-old = {
      metric = "ApproximateAgeOfOldestMessage", over = 86400, alarm = "A message of the schedule has waited in the dead letter queue for a day."
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "function" {
  for_each            = local.lambda_alarms
  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.alarm
  namespace           = "AWS/Lambda"
  metric_name         = each.value.metric
  dimensions          = { FunctionName = aws_lambda_function.function[each.value.function].function_name }
  statistic           = each.value.statistic
  period              = 60
  evaluation_periods  = each.value.periods
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.over
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
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
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
}

# CloudWatch allows ten metrics in an alarm, and charges for each.
resource "aws_cloudwatch_metric_alarm" "table" {
  for_each            = local.table_alarms
  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "DynamoDB ${each.value.metric == "SystemErrors" ? "fails" : "refuses"} requests to ${each.value.table}. docs/OPERATIONS.md#table"
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions

  metric_query {
    id          = "sum"
    expression  = "SUM(METRICS())"
    label       = each.value.metric
    return_data = true
  }
  dynamic "metric_query" {
    for_each = each.value.operations
    content {
      id = "of${metric_query.value}"
      metric {
        namespace   = "AWS/DynamoDB"
        metric_name = each.value.metric
        dimensions  = { TableName = each.value.table, Operation = metric_query.value }
        stat        = "Sum"
        period      = 60
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "queue" {
  for_each            = local.queue_alarms
  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.alarm} docs/OPERATIONS.md#dead-letters"
  namespace           = "AWS/SQS"
  metric_name         = each.value.metric
  dimensions          = { QueueName = aws_sqs_queue.dead_letters.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.over
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
}
