//! Random tokens: valid ones with a part replaced, and nonsense.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::source::Random;

/// A token that starts from a real one.
pub(super) fn token(random: &mut Random, real: &str) -> String {
    let mut parts: Vec<String> = real.split('.').map(str::to_owned).collect();
    match random.below(6) {
        0 => return random.hostile(),
        1 => return random.mutated(real),
        2 => {
            parts[0] = part(
                &json!({ "alg": random.pick(&["none", "HS256", "RS256", "ES256", ""]), "kid": random.hostile() }),
            )
        }
        3 => {
            let audiences = [json!("sts.amazonaws.com"), json!(["sts.amazonaws.com"]), json!(7), json!([[]])];
            let claims = json!({
                "sub": random.pick(&["system:serviceaccount:shop:web", "system:serviceaccount:other:web", "", "x"]),
                "aud": audiences[random.below(audiences.len())],
                "exp": random.pick(&[0_u64, 4_102_444_800, u64::MAX]),
                "kubernetes.io": { "pod": { "uid": random.hostile() } },
            });
            parts[1] = part(&claims);
        }
        4 => parts[2] = String::new(),
        _ => parts.truncate(random.below(3)),
    }
    parts.join(".")
}

/// A text in the place of kubelet's tokens.
pub(super) fn tokens(random: &mut Random) -> String {
    let text = json!({
        "sts.amazonaws.com": { "token": random.hostile(), "expirationTimestamp": random.hostile() },
        random.hostile(): { "token": "a.b.c" },
    });
    random.mutated(&text.to_string())
}

fn part(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}
