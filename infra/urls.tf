# The URLs of the functions that are called from outside. Isolates sign their reports and questions, so ingest and ask need no
# authentication by AWS; the other two can require it.
locals {
  urls = {
    management = var.management_url_auth
    emergency  = var.management_url_auth
    ingest     = "NONE"
    ask        = "NONE"
  }
  # A function URL without AWS_IAM must be open to all callers; the function checks tokens and signatures.
  public_urls = toset([for name, auth in local.urls : name if auth == "NONE"])
}

resource "aws_lambda_function_url" "url" {
  for_each           = local.urls
  function_name      = aws_lambda_alias.live[each.key].function_name
  qualifier          = aws_lambda_alias.live[each.key].name
  authorization_type = each.value
}

# AWS answers 403 unless the caller is allowed two actions: to call the URL, and to invoke the function by it.
resource "aws_lambda_permission" "url" {
  for_each               = local.public_urls
  statement_id           = "function-url"
  action                 = "lambda:InvokeFunctionUrl"
  function_name          = aws_lambda_alias.live[each.key].function_name
  qualifier              = aws_lambda_alias.live[each.key].name
  principal              = "*"
  function_url_auth_type = "NONE"
}

# The second one. The provider's resource has an argument for its condition from version 6.28 on; CloudFormation has it
# with every version.
resource "aws_cloudformation_stack" "url" {
  name = "${local.name}-function-urls"
  template_body = jsonencode({
    AWSTemplateFormatVersion = "2010-09-09"
    Description              = "Lets everyone invoke the functions of ${local.name} by their URLs, and in no other way."
    Resources = {
      for name in local.public_urls : title(name) => {
        Type = "AWS::Lambda::Permission"
        Properties = {
          Action                = "lambda:InvokeFunction"
          FunctionName          = "${aws_lambda_alias.live[name].function_name}:${aws_lambda_alias.live[name].name}"
          InvokedViaFunctionUrl = true
          Principal             = "*"
        }
      }
    }
  })
}
