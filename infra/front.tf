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

  # The paths that isolates call, to the letter: whatever is written in another way has the limit of management.
  isolates = ["/v1/batches", "/v1/questions"]
}

resource "aws_wafv2_web_acl" "front" {
  count    = var.front.enabled ? 1 : 0
  provider = aws.global
  name     = "${local.name}-front"
  scope    = "CLOUDFRONT"

  default_action {
    allow {}
  }

  # Every path is counted, also one that no function knows: CloudFront sends what is not ingest's to management.
  rule {
    name     = "management"
    priority = 1
    action {
      block {
        custom_response {
          response_code = 429
        }
      }
    }
    statement {
      rate_based_statement {
        limit              = var.front.management_limit
        aggregate_key_type = "IP"
        scope_down_statement {
          not_statement {
            statement {
              or_statement {
                dynamic "statement" {
                  for_each = local.isolates
                  content {
                    byte_match_statement {
                      positional_constraint = "EXACTLY"
                      search_string         = statement.value
                      field_to_match {
                        uri_path {}
                      }
                      text_transformation {
                        priority = 0
                        type     = "NONE"
                      }
                    }
                  }
                }
              }
            }
          }
        }
      }
    }
    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "management"
      sampled_requests_enabled   = true
    }
  }

  rule {
    name     = "all"
    priority = 2
    action {
      block {
        custom_response {
          response_code = 429
        }
      }
    }
    statement {
      rate_based_statement {
        limit              = var.front.ingest_limit
        aggregate_key_type = "IP"
      }
    }
    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "all"
      sampled_requests_enabled   = true
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
