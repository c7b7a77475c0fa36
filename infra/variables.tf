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
    X-Cutover-Token; callers need both lambda:InvokeFunctionUrl and lambda:InvokeFunction. It holds for the
    emergency function too.
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
  description = <<-EOT
    Days for which a deleted secret can be restored, 7 to 30; 0 deletes at once. For as long as it can be restored, no
    new secret can have its name: an environment that was destroyed cannot be made again.
  EOT
  type        = number
  default     = 30
  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "secret_recovery_days must be 0, or 7 to 30."
  }
}

variable "log_retention_days" {
  description = "Days for which logs are kept: one of the numbers that CloudWatch knows, such as 7, 14, 30, 90 or 365."
  type        = number
  default     = 30
  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be a number of days that CloudWatch knows, such as 7, 14, 30, 90 or 365."
  }
}

variable "alarm_email" {
  description = "The address that alarms are sent to; AWS asks it to confirm once. If empty, only alarm_actions and other subscribers of the topic are told."
  type        = string
  default     = ""
  validation {
    condition     = var.alarm_email == "" || can(regex("^[^@[:space:]]+@[^@[:space:]]+$", var.alarm_email))
    error_message = "alarm_email must be an e-mail address, or empty."
  }
}

variable "alarm_actions" {
  description = "ARNs that alarms notify, in addition to the topic for alarms."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for action in var.alarm_actions : startswith(action, "arn:")])
    error_message = "alarm_actions must be ARNs."
  }
}

variable "table_name" {
  description = "The name of the DynamoDB table, if not that of the environment: a table that was restored from a backup. The table of batches keeps its name."
  type        = string
  default     = null
  validation {
    condition     = var.table_name == null || can(regex("^[A-Za-z0-9_.-]{3,255}$", var.table_name))
    error_message = "table_name must have 3 to 255 letters, digits, underscores, dots and hyphens."
  }
}

variable "memory_mb" {
  description = "Memory of each function, in megabytes. A function with twice the memory has twice the processor."
  type = object({
    management = optional(number, 256)
    emergency  = optional(number, 256)
    ingest     = optional(number, 256)
    ask        = optional(number, 256)
    evaluate   = optional(number, 512)
    promote    = optional(number, 256)
  })
  default = {}
  validation {
    condition     = alltrue([for memory in values(var.memory_mb) : memory >= 128 && memory <= 10240 && floor(memory) == memory])
    error_message = "memory_mb must be whole numbers from 128 to 10240."
  }
}

variable "timeout_seconds" {
  description = "Longest run of each function, in seconds. Evaluation works for this time less 10 s, and is started every minute."
  type = object({
    management = optional(number, 30)
    emergency  = optional(number, 30)
    ingest     = optional(number, 15)
    ask        = optional(number, 10)
    evaluate   = optional(number, 180)
    promote    = optional(number, 50)
  })
  default = {}
  validation {
    condition     = alltrue([for name, timeout in var.timeout_seconds : timeout >= 5 && timeout < (name == "evaluate" ? 901 : 60) && floor(timeout) == timeout])
    error_message = "timeout_seconds must be whole numbers from 5 to 59, and up to 900 for evaluate."
  }
}

variable "concurrency" {
  description = <<-EOT
    Instances reserved for each function, which are also the most that it has; -1 takes them from what the account has
    left. Each takes 10 requests a second at most. What is reserved for one cannot be used up by another: a flood of
    ingest does not stop the emergency function. AWS keeps 100 unreserved, so the account's limit must be that much
    above the sum; a new account has 10 in all.
  EOT
  type = object({
    management = optional(number, -1)
    emergency  = optional(number, -1)
    ingest     = optional(number, -1)
    ask        = optional(number, -1)
    evaluate   = optional(number, -1)
    promote    = optional(number, -1)
  })
  default = {}
  validation {
    condition     = alltrue([for instances in values(var.concurrency) : instances == -1 || (instances >= 1 && floor(instances) == instances)])
    error_message = "concurrency must be -1 or whole numbers above 0: a function with 0 never runs."
  }
}

variable "front" {
  description = <<-EOT
    CloudFront with a limit by address in front of management and ingest, at a host name of its own. The limits are
    requests of one address in five minutes: management_limit on every path but the two that isolates call, ingest_limit on
    all paths together. Isolates share a few addresses of Cloudflare's, so ingest_limit bounds all of them together: 60
    requests for each isolate, and as many again to spare. Needs management_url_auth = "NONE".
  EOT
  type = object({
    enabled          = bool
    management_limit = optional(number, 1000)
    ingest_limit     = optional(number, 600000)
  })
  default = { enabled = false }
  validation {
    condition     = alltrue([for limit in [var.front.management_limit, var.front.ingest_limit] : limit >= 10 && limit <= 2000000000])
    error_message = "The limits of front must be 10 to 2000000000 requests in five minutes."
  }
}

variable "requests_per_second" {
  description = "Requests per second that one instance of management and of ingest accepts from one caller; bursts may be twice as large."
  type        = object({ management = number, ingest = number })
  default     = { management = 20, ingest = 200 }
  validation {
    condition     = alltrue([for rate in values(var.requests_per_second) : rate > 0])
    error_message = "requests_per_second must be above 0."
  }
}

variable "experiment_users" {
  description = "Most users of a phase of an experiment that evidence remembers; counts from the next phase on. `cutover experiment plan` says how many an effect needs, and what evaluate then takes: memory_mb.promote must suffice for it too, as promote stands in for evaluate."
  type        = number
  default     = 16384
  validation {
    condition     = var.experiment_users >= 1 && var.experiment_users <= 100000 && floor(var.experiment_users) == var.experiment_users
    error_message = "experiment_users must be a whole number from 1 to 100000."
  }
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
  description = "The log level of all functions but ask and ingest, which log warnings: info, debug or trace. Alarms count lines of the level info."
  type        = string
  default     = "info"
  validation {
    condition     = contains(["info", "debug", "trace"], var.log_level)
    error_message = "log_level must be info, debug or trace: alarms count lines of the level info."
  }
}

variable "tags" {
  description = "Tags of every resource, in addition to project, environment and managed-by."
  type        = map(string)
  default     = {}
}
