//! `jmesPath` entries: which part of a JSON value they select, and how they write it.

use tonic::Code;

use crate::harness::{Request, World, assert_lacks, assert_says};

/// Checks what each expression selects from one secret.
async fn extracted(secret: &str, expressions: &[(&str, &str)]) {
    let world = World::start().await;
    world.secret("shop/db", secret);
    let mut objects = "- objectName: shop/db\n  objectType: secretsmanager\n  jmesPath:\n".to_owned();
    for (number, (expression, _)) in expressions.iter().enumerate() {
        objects.push_str(&format!("  - {{path: '{expression}', objectAlias: f{number}}}\n"));
    }
    let answer = world.mount(&Request::new(&objects)).await;
    for (number, (expression, value)) in expressions.iter().enumerate() {
        assert_eq!(answer.text(&format!("f{number}")), *value, "{expression}");
    }
    assert_eq!(answer.text("shop_db"), secret, "the whole value is a file as well");
}

#[tokio::test(start_paused = true)]
async fn a_string_is_written_verbatim_and_everything_else_as_json() {
    extracted(
        r#"{"text":"a \"quoted\" \u00e9\n","yes":true,"no":false,"list":[1,"b"],"map":{"k":"v"},"empty":"","zero":0}"#,
        &[
            ("text", "a \"quoted\" é\n"),
            ("yes", "true"),
            ("no", "false"),
            ("list", r#"[1,"b"]"#),
            ("map", r#"{"k":"v"}"#),
            ("empty", ""),
            ("zero", "0"),
            ("map.k", "v"),
            ("list[1]", "b"),
            ("list[-2]", "1"),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn numbers_keep_every_digit() {
    extracted(
        r#"{"money":1.10,"long":123456789012345678901234567890,"tiny":1e-400,"a":{"b":[0.1000]},"large":9007199254740993}"#,
        &[
            ("money", "1.10"),
            ("long", "123456789012345678901234567890"),
            ("tiny", "1e-400"),
            ("a", r#"{"b":[0.1000]}"#),
            ("a.b[0]", "0.1000"),
            ("large", "9007199254740993"),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn computed_expressions_are_evaluated() {
    extracted(
        r#"{"hosts":["a","b"],"user":"u","db-host":"h","nested":{"x":[{"n":"1"},{"n":"2"}]}}"#,
        &[
            (r#"join(`","`, hosts)"#, "a,b"),
            ("length(hosts)", "2"),
            (r#""db-host""#, "h"),
            ("nested.x[*].n", r#"["1","2"]"#),
            (r#"user || `"none"`"#, "u"),
            (r#"missing || `"none"`"#, "none"),
            ("[user, \"db-host\"]", r#"["u","h"]"#),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_key_needs_no_quoting() {
    let world = World::start().await;
    world.secret("shop/db", r#"{"db-password":"p","a.b":"dotted","a":{"b":"nested"}}"#);
    let objects = "
- objectName: shop/db
  objectType: secretsmanager
  jmesPath:
  - {key: db-password, objectAlias: password}
  - {key: a.b, objectAlias: dotted}
  - {path: a.b, objectAlias: nested}";
    let answer = world.mount(&Request::new(objects)).await;
    answer.assert_texts([("password", "p"), ("dotted", "dotted"), ("nested", "nested")]);
}

#[tokio::test(start_paused = true)]
async fn fields_of_a_parameter_carry_its_version() {
    let world = World::start().await;
    world.parameter("/shop/db", "{}");
    world.parameter("/shop/db", r#"{"user":"u"}"#);
    let objects =
        "- {objectName: /shop/db, objectType: ssmparameter, jmesPath: [{path: user, objectAlias: user}]}";
    let answer = world.mount(&Request::new(objects)).await;
    assert_eq!(answer.text("user"), "u");
    assert_eq!(answer.version("user"), "2");
}

#[tokio::test(start_paused = true)]
async fn an_entrys_alias_is_translated_like_any_name() {
    let world = World::start().await;
    world.secret("shop/db", r#"{"user":"u"}"#);
    let objects =
        "- {objectName: shop/db, objectType: secretsmanager, jmesPath: [{path: user, objectAlias: db/user}]}";
    assert_eq!(world.mount(&Request::new(objects)).await.paths(), ["db_user", "shop_db"]);
    let untranslated = Request::new(objects).parameter("pathTranslation", "False");
    assert_eq!(world.mount(&untranslated).await.paths(), ["db/user", "shop/db"]);
}

#[tokio::test(start_paused = true)]
async fn an_optional_entry_that_finds_nothing_is_skipped() {
    let world = World::start().await;
    world.secret("shop/db", r#"{"user":"u","gone":null}"#);
    let objects = "
- objectName: shop/db
  objectType: secretsmanager
  jmesPath:
  - {path: user, objectAlias: user, optional: true}
  - {path: gone, objectAlias: gone, optional: true}
  - {path: missing, objectAlias: missing, optional: true}
  - {key: other, objectAlias: other, optional: true}";
    assert_eq!(world.mount(&Request::new(objects)).await.paths(), ["shop_db", "user"]);
}

#[tokio::test(start_paused = true)]
async fn an_entrys_encoding_decodes_only_the_field() {
    let world = World::start().await;
    world.secret("shop/db", r#"{"key":"AAH/+g==","hex":"00 ff"}"#);
    let objects = "
- objectName: shop/db
  objectType: secretsmanager
  jmesPath:
  - {path: key, objectAlias: key, encoding: base64}
  - {path: hex, objectAlias: hex, encoding: hex}";
    let answer = world.mount(&Request::new(objects)).await;
    assert_eq!(answer.bytes("key"), [0, 1, 255, 250]);
    assert_eq!(answer.bytes("hex"), [0, 255]);
    assert_eq!(answer.text("shop_db"), r#"{"key":"AAH/+g==","hex":"00 ff"}"#);
}

#[tokio::test(start_paused = true)]
async fn an_object_is_decoded_before_its_fields_are_extracted() {
    let world = World::start().await;
    // {"user":"u"}
    world.secret("shop/db", "eyJ1c2VyIjoidSJ9");
    let objects = "- {objectName: shop/db, objectType: secretsmanager, encoding: base64, jmesPath: [{path: user, objectAlias: user}]}";
    let answer = world.mount(&Request::new(objects)).await;
    answer.assert_texts([("user", "u"), ("shop_db", r#"{"user":"u"}"#)]);
}

#[tokio::test(start_paused = true)]
async fn many_fields_of_one_secret_need_one_read() {
    let world = World::start().await;
    world.secret("shop/db", r#"{"a":"1","b":"2"}"#);
    let objects = "
- {objectName: shop/db, objectType: secretsmanager, jmesPath: [{path: a, objectAlias: a}, {path: b, objectAlias: b}]}
- {objectName: shop/db, objectType: secretsmanager, objectAlias: again}";
    world.mount(&Request::new(objects)).await;
    assert_eq!(world.calls("GetSecretValue"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_expression_that_does_not_fit_is_named_without_showing_the_value() {
    let world = World::start().await;
    world.secret("shop/db", r#"{"user":"hunter2","gone":null}"#);
    world.secret("shop/text", "hunter2, but not JSON");
    world.emulator.put_secret(crate::harness::REGION, "shop/binary", vec![0xff, 0xfe]);
    for (object, entry, says) in [
        (
            "shop/db",
            "{path: missing, objectAlias: a}",
            r#"jmesPath "missing" finds nothing in the value, or null"#,
        ),
        ("shop/db", "{path: gone, objectAlias: a}", r#"jmesPath "gone" finds nothing"#),
        ("shop/db", "{key: user.name, objectAlias: a}", r#"jmesPath "user.name" finds nothing"#),
        ("shop/db", "{path: user, objectAlias: a, encoding: hex}", r#"jmesPath "user" is not hex"#),
        (
            "shop/db",
            "{path: 'abs(user)', objectAlias: a}",
            "argument 1 of abs must be a number; found string",
        ),
        ("shop/text", "{path: user, objectAlias: a}", "the value is not JSON (line 1, column 1)"),
        ("shop/binary", "{path: user, objectAlias: a}", "the value is not JSON (line 1, column 1)"),
    ] {
        let objects = format!("- {{objectName: {object}, objectType: secretsmanager, jmesPath: [{entry}]}}");
        let status = world.refusal(&Request::new(&objects)).await;
        assert_says(&status, Code::FailedPrecondition, &[object, says]);
        assert_lacks(status.message(), "hunter2");
    }
}

#[tokio::test(start_paused = true)]
async fn computed_values_are_written_as_by_awss_own_provider() {
    extracted(
        r#"{"quota":[3,1,2],"port":5432.0,"users":[{"n":"a","s":"on"},{"n":"b","s":"off"}]}"#,
        &[
            ("to_string(sum(quota))", "6"),
            ("to_string(avg(quota))", "2"),
            ("to_string(floor(port))", "5432"),
            ("to_string(port)", "5432"),
            ("to_string(`1.0`)", "1"),
            ("sum(quota)", "6"),
            ("users[].{q: n}[0].q", "a"),
            ("users[*].{q: n, r: s}[1].r", "off"),
            ("users[?s==`\"on\"`].{q: n}[0].q", "a"),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn invalid_utf_8_elsewhere_does_not_affect_a_field() {
    let world = World::start().await;
    let secret = b"{\"a\":\"caf\xe9\",\"b\":\"ok\"}";
    world.emulator.put_secret(crate::harness::REGION, "shop/db", secret.to_vec());
    let objects =
        "- {objectName: shop/db, objectType: secretsmanager, jmesPath: [{path: b, objectAlias: b}]}";
    let answer = world.mount(&Request::new(objects)).await;
    assert_eq!(answer.text("b"), "ok");
    assert_eq!(answer.bytes("shop_db"), secret);
}

#[tokio::test(start_paused = true)]
async fn an_expression_that_finds_nothing_or_costs_too_much_says_what_to_do() {
    let world = World::start().await;
    world.secret(
        "shop/db",
        r#"{"spring.datasource.password":"s3cr3t","users":[{"n":"b"}],"config":"{\"user\":\"s3cr3t\"}"}"#,
    );
    world.secret("shop/large", &format!("[{}1]", "1,".repeat(30_000)));
    let many = format!("length([{}@]|[])", "@,".repeat(250));
    for (object, path, says) in [
        ("shop/db", "spring.datasource.password", "write key: spring.datasource.password instead of path"),
        ("shop/db", "config.user", "config is a string that contains JSON"),
        ("shop/db", r#"users[?n=="b"].n"#, "use single quotes for a string in an expression"),
        ("shop/db", "users[?n==`\"z\"`]", "finds nothing in the value"),
        (
            "shop/large",
            &many,
            "evaluating it takes too much memory for a value of this size: make it simpler",
        ),
    ] {
        let objects = format!(
            "- {{objectName: {object}, objectType: secretsmanager, jmesPath: [{{path: '{path}', objectAlias: a}}]}}"
        );
        let status = world.refusal(&Request::new(&objects)).await;
        assert_says(&status, Code::FailedPrecondition, &[object, says]);
        assert_lacks(status.message(), "s3cr3t");
    }
}
