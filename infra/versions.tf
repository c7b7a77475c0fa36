# The control plane of Cutover on AWS. Works with Terraform 1.9 or later and OpenTofu 1.9 or later.
terraform {
  required_version = ">= 1.9.0"
  required_providers {
    aws = {
      source = "hashicorp/aws"
      # .terraform.lock.hcl holds the checksums; docs/DEPLOY.md says how to change both.
      version = "5.100.0"
    }
  }
}

provider "aws" {
  region = var.region
  default_tags {
    tags = local.tags
  }
}

# CloudFront and its web ACL are made in this region, wherever the functions are.
provider "aws" {
  alias  = "global"
  region = "us-east-1"
  default_tags {
    tags = local.tags
  }
}

data "aws_caller_identity" "current" {}

locals {
  # Prefix of every name, so that two environments can share an account.
  name = "cutover-${var.environment}"
  tags = merge({ project = "cutover", environment = var.environment, managed-by = "terraform" }, var.tags)
}
