# Change notices of Latchkey: events of Secrets Manager and Parameter Store, in a queue that
# `latchkey notices` receives from. One module for each Region.

variable "queue_name" {
  type    = string
  default = "latchkey-notices"
}

variable "cloudtrail" {
  description = "Also send the calls that decide who may read a secret. Needs a trail with management events."
  type        = bool
  default     = false
}

variable "role" {
  description = "Create the role of the Deployment. One module in one Region is enough, because it may receive from the queues of all Regions."
  type        = bool
  default     = true
}

variable "role_name" {
  type    = string
  default = "latchkey-notices"
}

variable "cluster_name" {
  description = "For EKS Pod Identity: the name of the EKS cluster, whose service account gets the role."
  type        = string
  default     = ""
}

variable "oidc_provider" {
  description = "For IRSA: the issuer of the EKS cluster without https://."
  type        = string
  default     = ""
}

variable "namespace" {
  description = "The namespace of Latchkey."
  type        = string
  default     = "kube-system"
}

variable "service_account" {
  description = "The service account of the Deployment."
  type        = string
  default     = "latchkey-notices"
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  patterns = {
    labels     = jsonencode({ source = ["aws.secretsmanager"], detail-type = ["Secret Label Updated"] })
    parameters = jsonencode({ source = ["aws.ssm"], detail-type = ["Parameter Store Change"] })
    calls = jsonencode({
      source      = ["aws.secretsmanager"]
      detail-type = ["AWS API Call via CloudTrail"]
      detail = {
        eventSource = ["secretsmanager.amazonaws.com"]
        eventName = [
          "DeleteSecret",
          "RestoreSecret",
          "UpdateSecret",
          "PutResourcePolicy",
          "DeleteResourcePolicy",
          "ReplicateSecretToRegions",
          "RemoveRegionsFromReplication",
        ]
      }
    })
  }
}

resource "aws_sqs_queue" "notices" {
  name                    = var.queue_name
  sqs_managed_sse_enabled = true
  # The limit of EventBridge's events.
  max_message_size = 262144
  # A notice that is older than this is of no use: each node has read again by itself.
  message_retention_seconds  = 3600
  receive_wait_time_seconds  = 20
  visibility_timeout_seconds = 30
}

resource "aws_cloudwatch_event_rule" "changes" {
  for_each      = { for name, pattern in local.patterns : name => pattern if name != "calls" || var.cloudtrail }
  name          = "${var.queue_name}-${each.key}"
  event_pattern = each.value
}

resource "aws_cloudwatch_event_target" "queue" {
  for_each  = aws_cloudwatch_event_rule.changes
  rule      = each.value.name
  target_id = "latchkey"
  arn       = aws_sqs_queue.notices.arn
}

resource "aws_sqs_queue_policy" "only_these_rules_send" {
  queue_url = aws_sqs_queue.notices.url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyTheseRulesSend"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.notices.arn
      Condition = { ArnEquals = { "aws:SourceArn" = [for rule in aws_cloudwatch_event_rule.changes : rule.arn] } }
    }]
  })
}

locals {
  pod_identity_trust = {
    Effect    = "Allow"
    Principal = { Service = "pods.eks.amazonaws.com" }
    Action    = ["sts:AssumeRole", "sts:TagSession"]
    Condition = {
      StringEquals = {
        "aws:SourceAccount"                         = data.aws_caller_identity.current.account_id
        "aws:RequestTag/kubernetes-namespace"       = var.namespace
        "aws:RequestTag/kubernetes-service-account" = var.service_account
      }
    }
  }
  irsa_trust = {
    Effect    = "Allow"
    Principal = { Federated = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:oidc-provider/${var.oidc_provider}" }
    Action    = "sts:AssumeRoleWithWebIdentity"
    Condition = {
      StringEquals = {
        "${var.oidc_provider}:aud" = "sts.amazonaws.com"
        "${var.oidc_provider}:sub" = "system:serviceaccount:${var.namespace}:${var.service_account}"
      }
    }
  }
}

resource "aws_iam_role" "notices" {
  count = var.role ? 1 : 0
  name  = var.role_name
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [jsondecode(var.oidc_provider == "" ? jsonencode(local.pod_identity_trust) : jsonencode(local.irsa_trust))]
  })
}

resource "aws_iam_role_policy" "receive" {
  count = var.role ? 1 : 0
  name  = "receive"
  role  = aws_iam_role.notices[0].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage"]
      Resource = "arn:${data.aws_partition.current.partition}:sqs:*:${data.aws_caller_identity.current.account_id}:${var.queue_name}"
    }]
  })
}

resource "aws_eks_pod_identity_association" "notices" {
  count           = var.role && var.oidc_provider == "" && var.cluster_name != "" ? 1 : 0
  cluster_name    = var.cluster_name
  namespace       = var.namespace
  service_account = var.service_account
  role_arn        = aws_iam_role.notices[0].arn
}

output "queue_url" {
  description = "For the chart's value notices.queueUrls"
  value       = aws_sqs_queue.notices.url
}

output "role_arn" {
  description = "For IRSA: the annotation eks.amazonaws.com/role-arn in notices.serviceAccount.annotations"
  value       = one(aws_iam_role.notices[*].arn)
}
