variable "environment" {
  description = "The environment; part of every name."
  type        = string
  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment must be staging or production."
  }
}

variable "region" {
  description = "The AWS region. Choose one near the users of the API; isolates report to it every five seconds."
  type        = string
  default     = "us-east-1"
}

variable "cloudflare_account_id" {
  description = "The Cloudflare account that holds the KV namespace."
  type        = string
  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.cloudflare_account_id))
    error_message = "cloudflare_account_id must be 32 hexadecimal digits; `npx wrangler whoami` shows it."
  }
}

variable "kv_namespace_id" {
  description = "The id of the KV namespace that the Worker reads, as in wrangler.toml."
  type        = string
  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.kv_namespace_id))
    error_message = "kv_namespace_id must be 32 hexadecimal digits; `npx wrangler kv namespace list` shows it."
  }
}

variable "archives" {
  description = "The directory with the archives, NAME/bootstrap.zip: an absolute path, or relative to this directory."
  type        = string
  default     = "../target/lambda"
}

variable "management_url_auth" {
  description = <<-EOT
    Authentication in front of the management function. NONE leaves it to the function, which requires a
    bearer token for everything. With AWS_IAM, AWS checks a signature first, and the token moves to the header
    X-Cutover-Token.
  EOT
  type        = string
  default     = "NONE"
  validation {
    condition     = contains(["NONE", "AWS_IAM"], var.management_url_auth)
    error_message = "management_url_auth must be NONE or AWS_IAM."
  }
}

variable "deletion_protection" {
  description = "If true, the table cannot be deleted. Use true in production."
  type        = bool
  default     = true
}

variable "secret_recovery_days" {
  description = "Days for which a deleted secret can be restored, 7 to 30; 0 deletes at once."
  type        = number
  default     = 30
}

variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 30
}

variable "alarm_actions" {
  description = "ARNs that alarms notify, such as SNS topics. If empty, alarms are only shown."
  type        = list(string)
  default     = []
}

variable "concurrency" {
  description = "Most concurrent instances of each function; -1 uses the account's limit. Bounds the cost of a flood."
  type        = object({ management = number, ingest = number })
  default     = { management = -1, ingest = -1 }
}

variable "requests_per_second" {
  description = "Requests per second that one instance of management and of ingest accepts from one caller; bursts may be twice as large."
  type        = object({ management = number, ingest = number })
  default     = { management = 20, ingest = 200 }
}

variable "two_person_approval" {
  description = "If true, a change that may move users to the new backend waits for the approval of a second person."
  type        = bool
  default     = false
}

variable "root_token" {
  description = "If true, the token for the first start is accepted. Set it to false once there is an admin token."
  type        = bool
  default     = true
}

variable "webhook_url" {
  description = "The URL that receives notifications of canaries. If empty, none are sent."
  type        = string
  default     = ""
}

variable "jwt" {
  description = "The issuer of JSON Web Tokens for operators: the JWKS, the issuer, the audience, and the claim with the role."
  type        = object({ jwks_url = string, issuer = string, audience = string, role_claim = optional(string, "role") })
  default     = null
}

variable "otlp_endpoint" {
  description = "The OTLP/HTTP endpoint for traces, such as https://collector.example:4318. If empty, none are sent."
  type        = string
  default     = ""
}

variable "log_level" {
  description = "The log level: error, warn, info, debug or trace."
  type        = string
  default     = "info"
}

variable "tags" {
  description = "Tags of every resource, in addition to project, environment and managed-by."
  type        = map(string)
  default     = {}
}
