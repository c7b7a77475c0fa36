# CloudFront with a limit by address, in front of the URLs of management and ingest: off unless var.front says otherwise.
# Whoever knows the URL of a function itself can go around it, so keep those names to yourself. The emergency function
# stays outside, and depends on nothing of this.
locals {
  front_url = var.front.enabled ? "https://${one(aws_cloudfront_distribution.front[*].domain_name)}" : ""

  front_origins = { for name in ["management", "ingest"] : name => trimsuffix(trimprefix(aws_lambda_function_url.url[name].function_url, "https://"), "/") }

  # Policies that AWS manages: CachingDisabled, and AllViewerExceptHostHeader, because a function URL knows its own
  # host name only.
  no_cache   = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
  all_it_got = "b689b0a8-53d0-40ab-baf2-68738e2966ac"

  limits = {
    management = { priority = 1, limit = var.front.management_limit, path = "/api/" }
    ingest     = { priority = 2, limit = var.front.ingest_limit, path = "/v1/" }
  }
}

resource "aws_wafv2_web_acl" "front" {
  count    = var.front.enabled ? 1 : 0
  provider = aws.global
  name     = "${local.name}-front"
  scope    = "CLOUDFRONT"

  default_action {
    allow {}
  }

  dynamic "rule" {
    for_each = local.limits
    content {
      name     = rule.key
      priority = rule.value.priority
      action {
        block {
          custom_response {
            response_code = 429
          }
        }
      }
      statement {
        rate_based_statement {
          limit              = rule.value.limit
          aggregate_key_type = "IP"
          scope_down_statement {
            byte_match_statement {
              positional_constraint = "STARTS_WITH"
              search_string         = rule.value.path
              field_to_match {
                uri_path {}
              }
              text_transformation {
                priority = 0
                type     = "NORMALIZE_PATH"
              }
            }
          }
        }
      }
      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = rule.key
        sampled_requests_enabled   = true
      }
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = "${local.name}-front"
    sampled_requests_enabled   = true
  }
}

resource "aws_cloudfront_distribution" "front" {
  count           = var.front.enabled ? 1 : 0
  provider        = aws.global
  comment         = "${local.name}: management and ingest"
  enabled         = true
  is_ipv6_enabled = true
  http_version    = "http2and3"
  price_class     = "PriceClass_All"
  web_acl_id      = aws_wafv2_web_acl.front[0].arn

  dynamic "origin" {
    for_each = local.front_origins
    content {
      origin_id   = origin.key
      domain_name = origin.value
      custom_origin_config {
        http_port              = 80
        https_port             = 443
        origin_protocol_policy = "https-only"
        origin_ssl_protocols   = ["TLSv1.2"]
        origin_read_timeout    = 60
      }
    }
  }

  default_cache_behavior {
    target_origin_id         = "management"
    allowed_methods          = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    cached_methods           = ["GET", "HEAD"]
    viewer_protocol_policy   = "https-only"
    cache_policy_id          = local.no_cache
    origin_request_policy_id = local.all_it_got
  }

  ordered_cache_behavior {
    path_pattern             = "/v1/*"
    target_origin_id         = "ingest"
    allowed_methods          = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    cached_methods           = ["GET", "HEAD"]
    viewer_protocol_policy   = "https-only"
    cache_policy_id          = local.no_cache
    origin_request_policy_id = local.all_it_got
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = true
  }

  lifecycle {
    precondition {
      condition     = var.management_url_auth == "NONE"
      error_message = "Callers of a URL with AWS_IAM sign its own host name, and CloudFront has another: set management_url_auth to NONE, or front.enabled to false."
    }
  }
}
