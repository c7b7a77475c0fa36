variable "environment" {
  description = "The environment; part of every name."
  type        = string
  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment must be staging or production."
  }
}

variable "region" {
  description = "The AWS region. Choose one near the people behind the API; isolates report to it every five seconds."
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
  description = "The folder with the archives, NAME/bootstrap.zip; relative to this one, or its whole path."
  type        = string
  default     = "../target/lambda"
}

variable "management_url_auth" {
  description = <<-EOT
    Who may reach the management function at all: NONE leaves it to the function, which needs a bearer token for
    everything; AWS_IAM has AWS check a signature before it, and the token moves to the header X-Cutover-Token.
  EOT
  type        = string
  default     = "NONE"
  validation {
    condition     = contains(["NONE", "AWS_IAM"], var.management_url_auth)
    error_message = "management_url_auth must be NONE or AWS_IAM."
  }
}

variable "deletion_protection" {
  description = "Whether the table refuses to be deleted. Production wants true."
  type        = bool
  default     = true
}

variable "secret_recovery_days" {
  description = "Days for which a deleted secret can be brought back, 7 to 30; 0 deletes at once."
  type        = number
  default     = 30
}

variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 30
}

variable "alarm_actions" {
  description = "ARNs of what alarms call, such as SNS topics. Empty: alarms are only shown."
  type        = list(string)
  default     = []
}

variable "concurrency" {
  description = "The most instances of each function; -1 takes the account's. They bound what a flood can cost."
  type        = object({ management = number, ingest = number })
  default     = { management = -1, ingest = -1 }
}

variable "requests_per_second" {
  description = "Requests that one instance of management and of ingest answers for one caller; twice as many at once."
  type        = object({ management = number, ingest = number })
  default     = { management = 20, ingest = 200 }
}

variable "two_person_approval" {
  description = "Whether a change that may move users to the new backend waits for a second person."
  type        = bool
  default     = false
}

variable "root_token" {
  description = "Whether the token of the first start is honoured. Set it to false once there is an admin token."
  type        = bool
  default     = true
}

variable "webhook_url" {
  description = "Where notifications of canaries go. Empty: nowhere."
  type        = string
  default     = ""
}

variable "jwt" {
  description = "Who issues JSON Web Tokens for people: the JWKS, the issuer, the audience, and the claim with their role."
  type        = object({ jwks_url = string, issuer = string, audience = string, role_claim = optional(string, "role") })
  default     = null
}

variable "otlp_endpoint" {
  description = "The OTLP/HTTP endpoint that traces are sent to, such as https://collector.example:4318. Empty: none."
  type        = string
  default     = ""
}

variable "log_level" {
  description = "error, warn, info, debug or trace."
  type        = string
  default     = "info"
}

variable "tags" {
  description = "Tags of everything, besides project, environment and managed-by."
  type        = map(string)
  default     = {}
}
