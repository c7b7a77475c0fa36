# Alarms about what functions say. Each has a chapter of the same name in docs/OPERATIONS.md. Functions write one JSON
# object per line; these filters count by `event`, which is a stable name. What anybody on the internet can cause by
# calling a URL is shown, and calls nobody.
locals {
  alarm_actions = concat([aws_sns_topic.alarms.arn], var.alarm_actions)

  events = {
    publication-lag = {
      functions = ["promote"], pattern = "{ $.event = \"tick\" }", value = "$.lag", calls = true
      alarm     = "Changes are committed, but Workers KV does not have them: the edge uses an older revision."
      over      = 0, periods = 3, statistic = "Maximum"
    }
    evaluation-lag = {
      functions = ["promote"], pattern = "{ $.event = \"tick\" }", value = "$.evaluation_lag_seconds", calls = true
      alarm     = "Reports of isolates are not evaluated: no canary climbs, and none is rolled back."
      over      = 180, periods = 3, statistic = "Maximum"
    }
    emergency-in-force = {
      functions = ["promote"], pattern = "{ $.event = \"tick\" }", value = "$.emergency", calls = true
      alarm     = "An emergency has been in force for an hour: its flags are held on legacy."
      over      = 0, periods = 60, statistic = "Minimum"
    }
    batches-failed = {
      functions = ["ingest"], pattern = "{ $.event = \"batch_refused\" && ($.kind = \"failed\" || $.kind = \"malformed\") }", value = "1", calls = true
      alarm     = "Ingest cannot store or read reports that isolates have signed: canaries lack evidence."
      over      = 20, periods = 2, statistic = "Sum"
    }
    batches-refused = {
      functions = ["ingest"], pattern = "{ $.event = \"batch_refused\" }", value = "1", calls = false
      alarm     = "Ingest refuses reports. They may be anybody's; if they are those of isolates, isolates-lost fires too."
      over      = 20, periods = 2, statistic = "Sum"
    }
    secret-unreadable = {
      functions = ["management", "emergency", "ingest", "ask", "evaluate", "promote"], pattern = "{ $.event = \"secret_unreadable\" }", value = "1", calls = true
      alarm     = "A function cannot read one of its secrets in Secrets Manager."
      over      = 0, periods = 3, statistic = "Sum"
    }
    canary-rolled-back = {
      functions = ["evaluate", "promote"], pattern = "{ $.event = \"rollback\" }", value = "1", calls = true
      alarm     = "A canary was rolled back automatically: the new backend did worse."
      over      = 0, periods = 1, statistic = "Sum"
    }
    isolates-lost = {
      functions = ["evaluate", "promote"], pattern = "{ $.event = \"isolates_lost\" }", value = "$.lost", calls = true
      alarm     = "Isolates fell silent before their final report: their last counts are unknown."
      over      = 50, periods = 3, statistic = "Sum"
    }
    flag-unreadable = {
      functions = ["evaluate", "promote"], pattern = "{ $.event = \"flag_unreadable\" }", value = "1", calls = true
      alarm     = "The counts of a flag cannot be evaluated: its canary does not climb and is not rolled back."
      over      = 0, periods = 3, statistic = "Sum"
    }
    flag-gap = {
      functions = ["evaluate", "promote"], pattern = "{ $.event = \"flag_gap\" }", value = "1", calls = true
      alarm     = "Counts of a flag have expired before they could be evaluated: its canary does not climb until it is resumed."
      over      = 0, periods = 1, statistic = "Sum"
    }
    canary-undecided = {
      functions = ["evaluate", "promote"], pattern = "{ $.event = \"canary_undecided\" }", value = "1", calls = true
      alarm     = "An item of a canary cannot be read: the canary does not climb and is not rolled back."
      over      = 0, periods = 3, statistic = "Sum"
    }
    sign-in-refused = {
      functions = ["management", "emergency"], pattern = "{ $.event = \"sign_in_refused\" }", value = "1", calls = false
      alarm     = "Someone tries bearer tokens, or a client missed a rotation."
      over      = 20, periods = 1, statistic = "Sum"
    }
  }
  event_filters = merge([
    for name, event in local.events : { for function in event.functions : "${name}-${function}" => merge(event, { name = name, function = function }) }
  ]...)
}

# Everyone who is to be called subscribes here. Without a key of our own: CloudWatch could not use one of AWS's, and a
# message holds no secret.
resource "aws_sns_topic" "alarms" {
  name = "${local.name}-alarms"
}

resource "aws_sns_topic_subscription" "alarm_email" {
  count     = var.alarm_email == "" ? 0 : 1
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

resource "aws_cloudwatch_log_metric_filter" "event" {
  for_each       = local.event_filters
  name           = "${local.name}-${each.key}"
  log_group_name = aws_cloudwatch_log_group.function[each.value.function].name
  pattern        = each.value.pattern
  metric_transformation {
    name      = each.value.name
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
  alarm_actions       = each.value.calls ? local.alarm_actions : []
  ok_actions          = each.value.calls ? local.alarm_actions : []
}
