# The control plane of Cutover on AWS. Works with Terraform 1.9 or later and OpenTofu 1.9 or later.
terraform {
  required_version = ">= 1.9.0"
  required_providers {
    aws = {
      source = "hashicorp/aws"
      # Pinned exactly, because a lock file would hold the checksums of one platform only.
      version = "5.100.0"
    }
  }
}

provider "aws" {
  region = var.region
  default_tags {
    tags = merge({ project = "cutover", environment = var.environment, managed-by = "terraform" }, var.tags)
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  # Prefix of every name, so that two environments can share an account.
  name = "cutover-${var.environment}"
}
