//! `latchkey doctor`: the real program against an API server that plays a cluster with one
//! thing wrong at a time.

mod double;

use serde_json::json;

use self::double::{Cluster, DRIVER, agent, class, lease, metrics, node, pod, provider_of_aws, system_pod};

/// What the doctor finds; the exit code must fit.
async fn found(cluster: Cluster) -> Vec<String> {
    let run = cluster.run(&["--output", "json"]).await;
    let findings = run.findings();
    let notes = ["not-looked-at", "audience-not-requested", "annotation-ignored", "egress-restricted"];
    let fails = findings.iter().any(|finding| !notes.iter().any(|note| finding.starts_with(note)));
    assert_eq!(run.code, i32::from(fails), "{findings:?} {}", run.err);
    findings
}

/// The only finding starts with the first text, and contains the others.
async fn only(cluster: Cluster, begin: &str, contains: &[&str]) {
    let findings = found(cluster).await;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(findings[0].starts_with(begin), "{}", findings[0]);
    for text in contains {
        assert!(findings[0].contains(text), "{text:?} is not in {}", findings[0]);
    }
}

#[tokio::test]
async fn a_healthy_cluster_has_no_findings_and_a_list_of_what_was_looked_at() {
    let run = Cluster::healthy().run(&[]).await;
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{}", run.out);
    assert_eq!(
        run.out,
        "Looked at:
  CSIDriver: tokens for sts.amazonaws.com, pods.eks.amazonaws.com; republish on
  driver 1.6.0 (kube-system/driver): ready on 2 of 2 nodes
  Latchkey (kube-system/latchkey): aws.sock ready on 2 of 2 nodes, 2 of them asked
  clocks of 2 of 2 nodes
  3 permissions of Latchkey and the driver
  namespace shop: 2 pods with 2 classes and 2 service accounts, 0 events about their secrets

nothing found
"
    );
}

#[tokio::test]
async fn a_finding_is_printed_with_its_fix() {
    let mut cluster = Cluster::healthy();
    cluster.csi_driver.as_mut().unwrap()["spec"]["requiresRepublish"] = json!(false);
    let run = cluster.run(&[]).await;
    assert_eq!(run.code, 1);
    assert!(
        run.out.ends_with(
            "
CSIDriver secrets-store.csi.k8s.io
  warning [rotation-off] requiresRepublish is not true
  fix: Set enableSecretRotation=true in the driver's chart, and upgrade its release.
1 warning
"
        ),
        "{}",
        run.out
    );
}

#[tokio::test]
async fn no_driver() {
    let mut cluster = Cluster::healthy();
    cluster.csi_driver = None;
    let findings = found(cluster).await;
    assert!(
        findings[0].starts_with("driver-missing CSIDriver//secrets-store.csi.k8s.io: there is no CSIDriver"),
        "{findings:#?}"
    );

    let mut cluster = Cluster::healthy();
    cluster.remove("daemonsets", "driver");
    only(cluster, "driver-missing CSIDriver//", &["no DaemonSet in any namespace runs the driver"]).await;
}

#[tokio::test]
async fn no_classes_at_all() {
    let mut cluster = Cluster::healthy();
    cluster.unknown.insert("secretproviderclasses");
    only(cluster, "classes-not-served CustomResourceDefinition//", &["own chart"]).await;
}

#[tokio::test]
async fn an_audience_is_missing() {
    let mut cluster = Cluster::healthy();
    cluster.csi_driver.as_mut().unwrap()["spec"]["tokenRequests"] =
        json!([{ "audience": "sts.amazonaws.com" }]);
    let contains = [
        "tokenRequests lacks pods.eks.amazonaws.com, which EKS Pod Identity needs",
        "tokenRequests[1].audience=pods.eks.amazonaws.com",
    ];
    only(cluster.clone(), "audience-missing CSIDriver//", &contains).await;
    // Where no pod needs it, it is only a note.
    cluster.remove("pods", "worker");
    only(cluster.clone(), "audience-not-requested CSIDriver//", &[]).await;
    cluster.csi_driver.as_mut().unwrap()["spec"].as_object_mut().unwrap().remove("tokenRequests");
    let findings = found(cluster).await;
    assert_eq!(
        findings.iter().filter(|finding| finding.starts_with("audience-missing ")).count(),
        2,
        "{findings:#?}"
    );
}

#[tokio::test]
async fn rotation_is_off() {
    let mut cluster = Cluster::healthy();
    let args =
        &mut cluster.object("daemonsets", "driver")["spec"]["template"]["spec"]["containers"][1]["args"];
    args.as_array_mut().unwrap().retain(|arg| arg != "--enable-secret-rotation=true");
    only(cluster, "rotation-off DaemonSet/kube-system/driver", &["enableSecretRotation=true"]).await;
}

#[tokio::test]
async fn the_driver_is_old_and_rotates_seldom() {
    let mut cluster = Cluster::healthy();
    let container = &mut cluster.object("daemonsets", "driver")["spec"]["template"]["spec"]["containers"][1];
    container["image"] = json!("registry.k8s.io/csi-secrets-store/driver:v1.4.8");
    container["args"].as_array_mut().unwrap().retain(|arg| arg != "--rotation-poll-interval=2m");
    container["args"].as_array_mut().unwrap().push(json!("--rotation-poll-interval=1h0m0s"));
    let findings = found(cluster).await;
    assert_eq!(findings.len(), 2, "{findings:#?}");
    assert!(
        findings[0].starts_with("driver-old DaemonSet/kube-system/driver: runs version 1.4.8"),
        "{findings:#?}"
    );
    assert!(findings[1].contains("--rotation-poll-interval=1h0m0s"), "{findings:#?}");
}

#[tokio::test]
async fn pod_info_is_off() {
    let mut cluster = Cluster::healthy();
    cluster.csi_driver.as_mut().unwrap()["spec"]["podInfoOnMount"] = json!(false);
    only(cluster, "pod-info-off CSIDriver//", &[]).await;
}

#[tokio::test]
async fn the_socket_is_in_another_folder() {
    let mut cluster = Cluster::healthy();
    let spec = &mut cluster.object("daemonsets", "latchkey")["spec"]["template"]["spec"];
    spec["volumes"][0]["hostPath"]["path"] = json!("/opt/sockets");
    let contains =
        ["creates aws.sock in /opt/sockets", "providerVolume=/var/run/secrets-store-csi-providers"];
    only(cluster, "socket-folder-differs DaemonSet/kube-system/latchkey", &contains).await;
}

#[tokio::test]
async fn the_socket_has_another_name() {
    let mut cluster = Cluster::healthy();
    let spec = &mut cluster.object("daemonsets", "latchkey")["spec"]["template"]["spec"];
    spec["containers"][0]["args"][2] = json!("--socket-name=latchkey.sock");
    let contains =
        ["provider: aws (shop/web, shop/worker), but Latchkey serves latchkey.sock", "socketName=aws.sock"];
    only(cluster.clone(), "provider-not-served DaemonSet/kube-system/latchkey", &contains).await;
    // Side by side with AWS's own provider, these classes are not Latchkey's.
    cluster.add("daemonsets", provider_of_aws());
    assert_eq!(found(cluster).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_second_provider() {
    let mut cluster = Cluster::healthy();
    cluster.add("daemonsets", provider_of_aws());
    only(cluster, "second-provider DaemonSet/kube-system/aws-secrets-store", &["side by side"]).await;

    let mut cluster = Cluster::healthy();
    cluster.metrics.insert("node-2", metrics("0.1.0", "foreign", 0, 0));
    cluster.object("pods", "latchkey-node-2")["status"]["conditions"][0]["status"] = json!("False");
    let contains = ["another running provider holds the socket on node node-2", "logs latchkey-node-2"];
    only(cluster, "second-provider Pod/kube-system/latchkey-node-2", &contains).await;
}

#[tokio::test]
async fn another_provider_with_another_socket_is_no_finding() {
    let mut cluster = Cluster::healthy();
    let mut vault = provider_of_aws();
    vault["metadata"]["name"] = json!("vault-csi-provider");
    vault["spec"]["template"]["spec"]["containers"][0]["image"] = json!("hashicorp/vault-csi-provider:1.5");
    cluster.add("daemonsets", vault);
    assert_eq!(found(cluster).await, Vec::<String>::new());
}

#[tokio::test]
async fn latchkey_is_not_there_or_not_ready() {
    let mut cluster = Cluster::healthy();
    cluster.remove("daemonsets", "latchkey");
    only(cluster, "latchkey-missing DaemonSet//latchkey", &[]).await;

    let mut cluster = Cluster::healthy();
    cluster.object("pods", "latchkey-node-2")["status"] = json!({
        "phase": "Pending",
        "containerStatuses": [{ "state": { "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } } }],
    });
    let contains = ["not ready on node node-2: ImagePullBackOff no such image"];
    only(cluster, "latchkey-not-ready Pod/kube-system/latchkey-node-2", &contains).await;

    let mut cluster = Cluster::healthy();
    cluster.metrics.insert("node-2", metrics("0.1.0", "starting", 0, 0));
    only(cluster, "latchkey-not-ready Pod/kube-system/latchkey-node-2", &["the socket is not bound yet"])
        .await;
}

#[tokio::test]
async fn the_pod_identity_agent_is_not_ready() {
    let mut cluster = Cluster::healthy();
    cluster.add("daemonsets", agent());
    cluster.add("pods", system_pod("eks-pod-identity-agent", "eks-pod-identity-agent", "node-1"));
    assert_eq!(found(cluster.clone()).await, Vec::<String>::new());
    let pod = "eks-pod-identity-agent-node-1";
    cluster.object("pods", pod)["status"]["conditions"][0] =
        json!({ "type": "Ready", "status": "False", "message": "containers with unready status: [agent]" });
    let begin = "agent-not-ready Pod/kube-system/eks-pod-identity-agent-node-1";
    only(cluster, begin, &["on node node-1: containers with unready status"]).await;
}

#[tokio::test]
async fn the_driver_is_missing_on_a_node() {
    let mut cluster = Cluster::healthy();
    cluster.remove("pods", "driver-node-2");
    cluster.object("nodes", "node-2")["spec"] =
        json!({ "taints": [{ "key": "gpu", "value": "a100", "effect": "NoSchedule" }] });
    let contains = ["does not tolerate the node's taint gpu=a100:NoSchedule", "linux.tolerations"];
    only(cluster, "driver-missing-on-node Node//node-2", &contains).await;

    let mut cluster = Cluster::healthy();
    cluster.object("daemonsets", "driver")["spec"]["template"]["spec"]["nodeSelector"]["pool"] =
        json!("apps");
    cluster.object("nodes", "node-1")["metadata"]["labels"]["pool"] = json!("apps");
    cluster.remove("pods", "driver-node-2");
    let contains = ["its nodeSelector wants pool=apps, and the node has no such label"];
    only(cluster, "driver-missing-on-node Node//node-2", &contains).await;
}

#[tokio::test]
async fn latchkey_is_missing_on_a_node() {
    let mut cluster = Cluster::healthy();
    cluster.remove("pods", "latchkey-node-2");
    only(cluster, "latchkey-missing-on-node Node//node-2", &["nothing in its template keeps it away"]).await;
}

#[tokio::test]
async fn a_node_that_can_run_neither_is_no_finding() {
    let mut cluster = Cluster::healthy();
    let mut fargate = node("fargate-1");
    fargate["metadata"]["labels"]["eks.amazonaws.com/compute-type"] = json!("fargate");
    cluster.add("nodes", fargate);
    // One for others, which has neither, and no pod that needs them.
    cluster.add("nodes", node("apart"));
    assert_eq!(found(cluster).await, Vec::<String>::new());
}

#[tokio::test]
async fn kubelet_does_not_know_the_driver() {
    let mut cluster = Cluster::healthy();
    cluster.object("csinodes", "node-2")["spec"]["drivers"] = json!(null);
    only(cluster, "driver-not-registered Node//node-2", &["node-driver-registrar"]).await;
}

#[tokio::test]
async fn a_clock_is_off() {
    let mut cluster = Cluster::healthy();
    *cluster.object("leases", "node-2") = lease("node-2", "2026-01-02T03:14:05.000000Z");
    cluster.metrics.remove("node-2");
    cluster.remove("pods", "latchkey-node-2");
    cluster.remove("pods", "driver-node-2");
    only(
        cluster,
        "clock-off Node//node-2",
        &["10m ahead of the API server's (seen in kubelet's lease)", "chronyd"],
    )
    .await;

    let mut cluster = Cluster::healthy();
    cluster.ahead.insert("node-1", -400);
    let findings = found(cluster).await;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(findings[0].starts_with("clock-off Node//node-1: its clock is 6m"), "{findings:#?}");
    assert!(findings[0].contains(" behind the API server's (seen in Latchkey's answer)"), "{findings:#?}");
}

#[tokio::test]
async fn token_keys_are_unreadable() {
    let mut cluster = Cluster::healthy();
    cluster.denied.insert("get /openid/v1/jwks");
    only(cluster, "keys-unreadable ServiceAccount/kube-system/latchkey", &["rbac.tokenKeys=true"]).await;

    let mut cluster = Cluster::healthy();
    let text = "ok\nwarning: Kubernetes does not allow Latchkey's own service account to read the cluster's token-signing keys\n";
    cluster.ready.insert("node-1", text);
    let contains = ["on node node-1", "token-signing keys", "system:service-account-issuer-discovery"];
    only(cluster, "keys-unreadable Pod/kube-system/latchkey-node-1", &contains).await;
}

#[tokio::test]
async fn permissions_are_missing() {
    for (right, begin, says) in [
        (
            "get serviceaccounts",
            "latchkey-forbidden ServiceAccount/kube-system/latchkey",
            "rbac.serviceAccounts=true",
        ),
        ("get nodes", "latchkey-forbidden ServiceAccount/kube-system/latchkey", "awsRegion"),
    ] {
        let mut cluster = Cluster::healthy();
        cluster.denied.insert(right);
        only(cluster, begin, &[right, says]).await;
    }
    let mut cluster = Cluster::healthy();
    cluster.object("secretproviderclasses", "web")["spec"]["secretObjects"] =
        json!([{ "secretName": "web" }]);
    cluster.denied.insert("create secrets");
    let begin = "sync-forbidden ServiceAccount/kube-system/secrets-store-csi-driver";
    only(cluster, begin, &["syncSecret.enabled=true"]).await;
}

#[tokio::test]
async fn nodes_run_different_versions() {
    let mut cluster = Cluster::healthy();
    cluster.metrics.insert("node-2", metrics("0.0.9", "ours", 0, 0));
    only(
        cluster,
        "version-skew DaemonSet/kube-system/latchkey",
        &["0.0.9 on 1, 0.1.0 on 1", "rollout status"],
    )
    .await;
}

#[tokio::test]
async fn a_latchkey_without_metrics_is_noted() {
    let mut cluster = Cluster::healthy();
    cluster.metrics.remove("node-2");
    let contains = ["answers /metrics with HTTP 404", "of the same version as this program"];
    only(cluster, "not-looked-at Pod/kube-system/latchkey-node-2", &contains).await;
}

#[tokio::test]
async fn running_pods_cannot_be_refreshed() {
    let mut cluster = Cluster::healthy();
    cluster.metrics.insert("node-2", metrics("0.1.0", "ours", 0, 3));
    let contains = ["on node node-2", "3 volumes of running pods", "/latchkey status"];
    only(cluster, "refresh-failing Pod/kube-system/latchkey-node-2", &contains).await;

    let mut cluster = Cluster::healthy();
    cluster.metrics.insert("node-2", metrics("0.1.0", "ours", 1, 0));
    only(cluster, "values-stale Pod/kube-system/latchkey-node-2", &["1 volume of a running pod"]).await;
}

#[tokio::test]
async fn a_network_policy_without_egress_is_noted() {
    let mut cluster = Cluster::healthy();
    cluster.add(
        "networkpolicies",
        json!({
            "metadata": { "name": "none", "namespace": "kube-system" },
            "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] },
        }),
    );
    only(cluster, "egress-restricted NetworkPolicy/kube-system/none", &[]).await;
}

#[tokio::test]
async fn a_class_is_missing() {
    let mut cluster = Cluster::healthy();
    cluster.add("pods", pod("late", "web", "no-such"));
    // Kubelet's event says the same.
    cluster.object("pods", "late")["status"]["phase"] = json!("Pending");
    let note = "MountVolume.SetUp failed for volume \"secrets\" : rpc error: code = Unknown desc = failed to get secretproviderclass shop/no-such, error: SecretProviderClass.secrets-store.csi.x-k8s.io \"no-such\" not found";
    cluster.add_event("late", "FailedMount", note, "2026-01-02T03:04:05Z");
    only(cluster, "class-missing Pod/shop/late", &["SecretProviderClass shop/no-such"]).await;
}

#[tokio::test]
async fn service_accounts_lack_a_usable_role() {
    let mut cluster = Cluster::healthy();
    cluster.object("serviceaccounts", "web")["metadata"]["annotations"] =
        json!({ "eks.amazonaws.com/role-arn": "web" });
    only(cluster, "role-arn-invalid ServiceAccount/shop/web", &["\"web\"", "arn:aws:iam::"]).await;

    let mut cluster = Cluster::healthy();
    *cluster.object("secretproviderclasses", "worker") =
        class("worker", &json!({ "usePodIdentity": "false" }));
    only(cluster, "no-identity ServiceAccount/shop/worker", &["usePodIdentity is \"false\""]).await;

    let mut cluster = Cluster::healthy();
    *cluster.object("secretproviderclasses", "web") = class("web", &json!({ "usePodIdentity": "true" }));
    only(cluster, "annotation-ignored ServiceAccount/shop/web", &["the role is not used"]).await;
}

/// Messages as tests/messages/table.md has them.
const NO_ASSOCIATION: &str = "rpc error: code = NotFound desc = no AWS credentials for service account shop/worker by EKS Pod Identity: eks-auth:AssumeRoleForPodIdentity by the Pod Identity agent in us-east-1 failed: ResourceNotFoundException: http://169.254.170.23 answered HTTP 400: [x]: (ResourceNotFoundException): no association, fault: client. A Pod Identity association for service account shop/worker must exist in this cluster, and its role must trust pods.eks.amazonaws.com with sts:AssumeRole and sts:TagSession";
const NO_TRUST: &str = "rpc error: code = PermissionDenied desc = no AWS credentials for service account shop/web with role arn:aws:iam::111122223333:role/web: sts:AssumeRoleWithWebIdentity in us-east-1 failed: AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity (request id x). The trust policy of arn:aws:iam::111122223333:role/web must allow this cluster's OIDC provider to call sts:AssumeRoleWithWebIdentity, with the condition \"<issuer>:sub\" = \"system:serviceaccount:shop:web\"; also check that the role exists";
const NO_ROUTE: &str = "rpc error: code = Internal desc = no AWS credentials for service account shop/web with role arn:aws:iam::111122223333:role/web: sts:AssumeRoleWithWebIdentity in us-east-1 failed: cannot reach the endpoint: connection error: Connection refused (os error 111); if this persists, check the network path from this node to AWS: DNS, routes (NAT or VPC endpoint), security groups, proxy";
const TWO_DENIALS: &str = "rpc error: code = PermissionDenied desc = 2 of 2 objects of SecretProviderClass shop/web failed for service account shop/web with role arn:aws:iam::111122223333:role/web: (1) Secrets Manager \"shop/db\": secretsmanager:GetSecretValue in us-east-1 failed: AccessDeniedException: User: x is not authorized to perform: secretsmanager:GetSecretValue on resource: arn:x because no identity-based policy allows the secretsmanager:GetSecretValue action (request id x); missing: secretsmanager:GetSecretValue on arn:x in an identity-based policy of role web; (2) Secrets Manager \"shop/key\": secretsmanager:GetSecretValue in us-east-1 failed: AccessDeniedException: Access to KMS is not allowed (request id x); missing: kms:Decrypt on the KMS key that encrypts it, in the caller's policy or the key's policy (in both if the key belongs to another account); nothing was changed in the pod";

#[tokio::test]
async fn a_pod_that_waits_has_its_cause() {
    for (pod, message, begin, contains) in [
        (
            "worker",
            NO_ASSOCIATION,
            "association-missing Pod/shop/worker",
            "create-pod-identity-association --cluster-name CLUSTER --namespace shop --service-account worker",
        ),
        (
            "web",
            NO_TRUST,
            "trust-refused Pod/shop/web",
            "In the trust policy of arn:aws:iam::111122223333:role/web, allow sts:AssumeRoleWithWebIdentity",
        ),
        (
            "web",
            NO_ROUTE,
            "sts-unreachable Pod/shop/web: cannot mount its secrets on node node-1",
            "VPC endpoint for com.amazonaws.REGION.sts",
        ),
    ] {
        let mut cluster = Cluster::healthy();
        cluster.fail_mount(pod, message);
        only(cluster, begin, &[contains]).await;
    }
    let mut cluster = Cluster::healthy();
    cluster.fail_mount("web", TWO_DENIALS);
    let findings = found(cluster).await;
    assert_eq!(findings.len(), 2, "{findings:#?}");
    assert!(findings[0].starts_with("kms-denied Pod/shop/web"), "{findings:#?}");
    assert!(findings[0].contains("(Grant kms:Decrypt on the KMS key"), "{findings:#?}");
    assert!(findings[1].starts_with("secret-denied Pod/shop/web"), "{findings:#?}");
    assert!(
        findings[1].ends_with(
            "(Grant secretsmanager:GetSecretValue on arn:x in an identity-based policy of role web.)"
        ),
        "{findings:#?}"
    );
}

#[tokio::test]
async fn pods_of_one_service_account_are_one_finding() {
    let mut cluster = Cluster::healthy();
    for name in ["web-1", "web-2", "web-3"] {
        cluster.add("pods", pod(name, "web", "web"));
        cluster.fail_mount(name, NO_TRUST);
    }
    only(cluster, "trust-refused Pod/shop/web-1", &["(and 2 other pods)"]).await;
}

#[tokio::test]
async fn what_has_passed_is_no_finding() {
    // The pod runs.
    let mut cluster = Cluster::healthy();
    cluster.fail_mount("web", NO_ROUTE);
    cluster.object("pods", "web")["status"]["phase"] = json!("Running");
    assert_eq!(found(cluster).await, Vec::<String>::new());
    // Only the last failure counts.
    let mut cluster = Cluster::healthy();
    cluster.fail_mount("web", NO_TRUST);
    for event in cluster.objects.get_mut("events").unwrap() {
        event["deprecatedLastTimestamp"] = json!("2026-01-02T03:00:00Z");
    }
    cluster.fail_mount("web", NO_ROUTE);
    only(cluster, "sts-unreachable Pod/shop/web", &[]).await;
}

#[tokio::test]
async fn latchkeys_own_events_say_what_running_pods_lack() {
    let lost = "SecretProviderClass web: the pod lost access to its secrets (reason denied): 1 of 1 objects of SecretProviderClass shop/web failed for service account shop/web with role arn:aws:iam::111122223333:role/web: (1) Secrets Manager \"shop/db\": secretsmanager:GetSecretValue in us-east-1 failed: AccessDeniedException: no (request id x); missing: secretsmanager:GetSecretValue on arn:x in an identity-based policy of role web; nothing was changed in the pod";
    let mut cluster = Cluster::healthy();
    cluster.add_event("web", "SecretAccessLost", lost, "2026-01-02T03:04:05Z");
    only(
        cluster.clone(),
        "secret-denied Pod/shop/web: cannot refresh its secrets on node node-1",
        &["(Grant secretsmanager:GetSecretValue"],
    )
    .await;
    let recovered = "SecretProviderClass web: the pod's secrets are up to date again";
    cluster.add_event("web", "SecretRecovered", recovered, "2026-01-02T03:05:05Z");
    assert_eq!(found(cluster).await, Vec::<String>::new());
}

#[tokio::test]
async fn one_pod_can_be_looked_at_alone() {
    let mut cluster = Cluster::healthy();
    cluster.fail_mount("web", NO_TRUST);
    let run = cluster.clone().run(&["shop/worker", "-o", "json"]).await;
    assert_eq!((run.code, run.findings()), (0, Vec::new()));
    let run = cluster.clone().run(&["web", "-o", "json"]).await;
    assert_eq!((run.code, run.findings().len()), (1, 1));
    let run = cluster.run(&["shop/no-such"]).await;
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.contains("there is no pod shop/no-such with a volume of the driver"), "{}", run.err);
}

#[tokio::test]
async fn what_may_not_be_read_is_noted_and_the_rest_goes_on() {
    let all = [
        "csidrivers",
        "daemonsets",
        "nodes",
        "csinodes",
        "leases",
        "networkpolicies",
        "secretproviderclasses",
        "serviceaccounts",
        "events",
        "subjectaccessreviews",
        "pods/proxy",
    ];
    for what in all {
        let mut cluster = Cluster::healthy();
        cluster.forbidden.insert(what);
        let findings = found(cluster).await;
        assert!(!findings.is_empty(), "{what}");
        for finding in findings {
            assert!(
                finding.starts_with("not-looked-at ") && finding.contains("does not allow you to"),
                "{what}: {finding}"
            );
        }
    }
    let mut cluster = Cluster::healthy();
    cluster.forbidden.extend(all.iter().chain(&["pods"]));
    cluster.forbidden.remove("csidrivers");
    cluster.csi_driver.as_mut().unwrap()["spec"]["requiresRepublish"] = json!(false);
    let findings = found(cluster).await;
    assert!(
        findings.iter().any(|finding| finding.starts_with(&format!("rotation-off CSIDriver//{DRIVER}"))),
        "{findings:#?}"
    );
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_an_error_of_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("none");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_latchkey"));
    let run = command.arg("doctor").arg("--kubeconfig").arg(&kubeconfig).output().unwrap();
    let err = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(2), "{err}");
    assert!(err.starts_with("latchkey: cannot read the kubeconfig "), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn the_book_has_every_finding() {
    let page = include_str!("../../../docs/src/doctor.md");
    for rule in latchkey::doctor::RULES {
        assert!(page.contains(&format!("`{}`", rule.id)), "docs/src/doctor.md lacks {}", rule.id);
    }
}

#[tokio::test]
async fn change_notices_on_their_whole_way() {
    assert!(found(Cluster::healthy().with_notices()).await.is_empty());

    let mut cluster = Cluster::healthy().with_notices();
    cluster.remove("pods", "latchkey-notices-node-1");
    only(
        cluster,
        "notices-missing ConfigMap/kube-system/latchkey-notices: no pod in namespace kube-system runs latchkey notices",
        &["notices.queueUrls"],
    )
    .await;

    let mut cluster = Cluster::healthy().with_notices();
    cluster.remove("configmaps", "latchkey-notices");
    only(cluster, "notices-missing ConfigMap/kube-system/latchkey-notices: has no change notices", &[]).await;

    let mut cluster = Cluster::healthy().with_notices();
    cluster.object("configmaps", "latchkey-notices")["data"] = json!({ "notices.json": "{}" });
    only(cluster, "notices-missing ConfigMap/kube-system/latchkey-notices: holds something else", &[]).await;

    let mut cluster = Cluster::healthy().with_notices();
    let warned = "leads\nwarning: no notices for account 111122223333: sqs:ReceiveMessage is denied\n";
    cluster.ready.insert("notices-node-1", warned);
    only(
        cluster,
        "notices-failing Pod/kube-system/latchkey-notices-node-1: no notices for account 111122223333",
        &["sqs:ReceiveMessage is denied", "--print-setup"],
    )
    .await;

    let mut cluster = Cluster::healthy().with_notices();
    cluster.object("pods", "latchkey-notices-node-1")["status"] = json!({ "phase": "Running" });
    only(cluster, "notices-failing Pod/kube-system/latchkey-notices-node-1: ", &["not ready"]).await;

    let mut cluster = Cluster::healthy().with_notices();
    let silent = metrics("0.1.0", "ours", 0, 0) + "latchkey_change_notice_areas 0\n";
    cluster.metrics.insert("node-2", silent);
    only(
        cluster,
        "notices-unheard Pod/kube-system/latchkey-node-2: on node node-2",
        &["ConfigMap kube-system/latchkey-notices", "get, list and watch"],
    )
    .await;

    let mut cluster = Cluster::healthy().with_notices();
    let untold =
        metrics("0.1.0", "ours", 0, 0) + "latchkey_change_notice_areas 1\nlatchkey_changes_untold_total 2\n";
    cluster.metrics.insert("node-1", untold);
    only(
        cluster,
        "changes-untold Pod/kube-system/latchkey-node-1: on node node-1, 2 changes were found",
        &["EventBridge rule", "kubectl --namespace kube-system logs latchkey-node-1"],
    )
    .await;
}
