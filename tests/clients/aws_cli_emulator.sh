#!/usr/bin/env bash
# The AWS CLI's opinion of the emulator: reads and writes of every operation, with
# the store's static keys, IRSA and Pod Identity.
#
# Usage: aws_cli_emulator.sh http://127.0.0.1:4566
#
# The emulator must have been started from examples/store.yaml and be fresh: the
# writes change it. Prints a line for each check and leaves with 1 on a mismatch.
set -u

url=${1:?the base URL of the emulator}
for name in $(compgen -e AWS_); do unset "$name"; done
export AWS_ENDPOINT_URL=$url AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
export AWS_EC2_METADATA_DISABLED=true AWS_MAX_ATTEMPTS=1 AWS_PAGER=
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
# The CLI keeps a role's credentials in ~/.aws/cli/cache, which must be nobody else's.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME=$scratch

admin() {
  AWS_ACCESS_KEY_ID=AKIAEXAMPLEADMIN0001 AWS_SECRET_ACCESS_KEY=anything \
    aws --output text "$@" 2>&1
}

passed=0 failed=0
check() { # fact, actual, pattern
  # `[[` would read `*(…)` as an extended pattern; `case` does not.
  # shellcheck disable=SC2254  # a pattern on purpose
  case $2 in
    $3)
      passed=$((passed + 1))
      echo "ok    $1"
      ;;
    *)
      failed=$((failed + 1))
      printf 'FAIL  %s\n      expected %s\n      but got  %s\n' "$1" "$3" "$2"
      ;;
  esac
}

sm() { admin secretsmanager "$@"; }
ssm() { admin ssm "$@"; }

check "who the static key is" "$(admin sts get-caller-identity --query Arn)" \
  "arn:aws:iam::111122223333:user/administrator"
check "GetSecretValue by label" \
  "$(sm get-secret-value --secret-id shop/rotated --version-stage AWSPREVIOUS --query SecretString)" previous
check "GetSecretValue in another Region" \
  "$(sm get-secret-value --region us-west-2 --secret-id shop/database --query ARN)" "arn:aws:secretsmanager:us-west-2:*"
check "GetSecretValue of nothing" "$(sm get-secret-value --secret-id nowhere)" \
  "*(ResourceNotFoundException) when calling the GetSecretValue operation: Secrets Manager can't find the specified secret.*"
check "GetSecretValue of what is deleted" "$(sm get-secret-value --secret-id shop/deleted)" \
  "*(InvalidRequestException)*marked for deletion*"
check "DescribeSecret" "$(sm describe-secret --secret-id shop/database --query Description)" "The shop's database"
check "ListSecrets by filter" \
  "$(sm list-secrets --filters Key=name,Values=payments/ --query 'SecretList[].Name')" payments/provider
check "BatchGetSecretValue" \
  "$(sm batch-get-secret-value --secret-id-list shop/rotated nowhere --query '[SecretValues[].SecretString, Errors[].ErrorCode]')" \
  $'current\nResourceNotFoundException'
check "CreateSecret" "$(sm create-secret --name cli/secret --secret-string one --query Name)" cli/secret
first=$(sm get-secret-value --secret-id cli/secret --query VersionId)
second=$(sm put-secret-value --secret-id cli/secret --secret-string two --version-stages AWSPENDING --query VersionId)
check "PutSecretValue as AWSPENDING moves nothing" \
  "$(sm get-secret-value --secret-id cli/secret --query SecretString)" one
check "UpdateSecret" "$(sm create-secret --name cli/updated --secret-string one --query Name;
  sm update-secret --secret-id cli/updated --secret-string two --query Name;
  sm get-secret-value --secret-id cli/updated --query SecretString)" $'cli/updated\ncli/updated\ntwo'
check "CreateSecret with a replica" "$(sm create-secret --name cli/replicated --secret-string one \
  --add-replica-regions Region=us-west-2 --query 'ReplicationStatus[].Status';
  sm get-secret-value --region us-west-2 --secret-id cli/replicated --query SecretString)" $'InSync\none'
check "an operation that is not there" "$(sm rotate-secret --secret-id cli/secret)" \
  "*(UnknownOperationException)*the emulator does not have RotateSecret; it has *GetSecretValue*"
check "UpdateSecretVersionStage" "$(sm update-secret-version-stage --secret-id cli/secret \
  --version-stage AWSCURRENT --move-to-version-id "$second" --remove-from-version-id "$first" --query Name)" cli/secret
check "the label has moved" "$(sm get-secret-value --secret-id cli/secret --query SecretString)" two
check "AWSPREVIOUS has followed" \
  "$(sm get-secret-value --secret-id cli/secret --version-stage AWSPREVIOUS --query VersionId)" "$first"
check "DeleteSecret" \
  "$(sm delete-secret --secret-id cli/secret --force-delete-without-recovery --query Name)" cli/secret
check "the secret is gone" "$(sm describe-secret --secret-id cli/secret)" "*(ResourceNotFoundException)*"

check "GetParameter by label" \
  "$(ssm get-parameter --name /shop/limits/orders:stable --query 'Parameter.[Value, Selector, Version]')" $'20\t:stable\t2'
check "GetParameter of nothing" "$(ssm get-parameter --name /nowhere)" "*(ParameterNotFound)*"
check "GetParameter decrypted" \
  "$(ssm get-parameter --name /shop/api-token --with-decryption --query Parameter.Value)" emulated-token
check "GetParameters" \
  "$(ssm get-parameters --names shop-flag /nowhere /shop/log-level --query '[Parameters[].Name, InvalidParameters]')" \
  $'/shop/log-level\tshop-flag\n/nowhere'
check "GetParametersByPath" \
  "$(ssm get-parameters-by-path --path /shop/limits --query 'Parameters[].Name')" $'/shop/limits/items\t/shop/limits/orders'
check "PutParameter" "$(ssm put-parameter --name /cli/p --value a --type String --query Version)" 1
check "PutParameter again" "$(ssm put-parameter --name /cli/p --value b)" "*(ParameterAlreadyExists)*"
check "PutParameter of 5,000 characters" \
  "$(ssm put-parameter --name /cli/big --type String --value "$(printf '%05000d' 0)")" "*(ValidationException)*4096*"
check "PutParameter of 5,000 characters by Intelligent-Tiering" "$(ssm put-parameter --name /cli/big --type String \
  --tier Intelligent-Tiering --value "$(printf '%05000d' 0)" --query Tier)" Advanced
check "GetParameter of a secret" "$(ssm get-parameter --with-decryption \
  --name /aws/reference/secretsmanager/shop/session-key --query Parameter.Value)" 8f1c2a6e5b7d
check "PutParameter with overwrite" "$(ssm put-parameter --name /cli/p --value b --overwrite --query Version)" 2
check "LabelParameterVersion" \
  "$(ssm label-parameter-version --name /cli/p --parameter-version 1 --labels live --query ParameterVersion)" 1
check "GetParameter by the new label" "$(ssm get-parameter --name /cli/p:live --query Parameter.Value)" a

token() {
  curl -sf "$url/_emulator/token?namespace=$1&serviceAccount=$2&audience=$3&podName=pod-1&podUid=uid-1"
}
# Version 1 of the CLI ignores AWS_ENDPOINT_URL for SQS, whose legacy host names it prefers.
queue=https://sqs.us-east-1.amazonaws.com/111122223333/changes
admin --endpoint-url "$url" sqs purge-queue --queue-url "$queue" # the checks above have changed secrets
admin secretsmanager put-secret-value --secret-id shop/session-key --secret-string 8f1c2a6e5b7d >/dev/null
read -r handle event <<<"$(admin --endpoint-url "$url" sqs receive-message --queue-url "$queue" \
  --query 'Messages[0].[ReceiptHandle,Body]')"
check "a change in a queue" "$event" \
  '*"labelUpdated":"AWSCURRENT","name":"shop/session-key"*"source":"aws.secretsmanager"*'
check "a deleted message" "$(admin --endpoint-url "$url" sqs delete-message --queue-url "$queue" --receipt-handle "$handle")" ""
check "a queue that does not exist" "$(admin --endpoint-url "$url" sqs receive-message --queue-url "${queue%changes}none")" \
  "*(AWS.SimpleQueueService.NonExistentQueue)*"
check "an empty queue" "$(admin --endpoint-url "$url" sqs receive-message --queue-url "$queue" --wait-time-seconds 1)" ""

file=$scratch/token
token shop cart sts.amazonaws.com >"$file"
irsa() {
  AWS_WEB_IDENTITY_TOKEN_FILE=$file AWS_ROLE_ARN=arn:aws:iam::111122223333:role/shop \
    AWS_ROLE_SESSION_NAME=cli aws --output text "$@" 2>&1
}
check "IRSA: who am I" "$(irsa sts get-caller-identity --query Arn)" "arn:aws:sts::111122223333:assumed-role/shop/cli"
check "IRSA: what is allowed" \
  "$(irsa secretsmanager get-secret-value --secret-id shop/session-key --query SecretString)" 8f1c2a6e5b7d
check "IRSA: what is denied" "$(irsa secretsmanager get-secret-value --secret-id payments/provider)" \
  "*(AccessDeniedException)*assumed-role/shop/cli is not authorized to perform: secretsmanager:GetSecretValue on resource: *"
check "AssumeRole" "$(irsa sts assume-role --role-arn arn:aws:iam::222233334444:role/shared-reader \
  --role-session-name hop --external-id shop-and-partner --query AssumedRoleUser.Arn)" \
  "arn:aws:sts::222233334444:assumed-role/shared-reader/hop"
check "AssumeRole without the external id" \
  "$(irsa sts assume-role --role-arn arn:aws:iam::222233334444:role/shared-reader --role-session-name hop)" \
  "*(AccessDenied)*"
check "AssumeRoleWithWebIdentity" "$(aws --output text sts assume-role-with-web-identity --no-sign-request \
  --role-arn arn:aws:iam::111122223333:role/shop --role-session-name web --web-identity-token "$(cat "$file")" \
  --duration-seconds 900 --query Provider 2>&1)" "arn:aws:iam::111122223333:oidc-provider/oidc.emulator.test"
check "Pod Identity" "$(AWS_CONTAINER_CREDENTIALS_FULL_URI=$url/v1/credentials \
  AWS_CONTAINER_AUTHORIZATION_TOKEN=$(token payments worker pods.eks.amazonaws.com) \
  aws --output text sts get-caller-identity --query Arn 2>&1)" \
  "arn:aws:sts::111122223333:assumed-role/payments/eks-example-pod-1-*"

echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
