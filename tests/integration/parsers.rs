//! Property tests of what reads input from outside below the API: nothing makes it panic, and what it writes of what it
//! read, it reads again as the same. docs/api.md lists them all.

use db::page::Cursor;
use db::segment::Segment;
use ipnet::IpNet;
use model::envelope::Envelope;
use model::id::{AppId, DeploymentId, OrganizationId, TokenId};
use model::image::ImageReference;
use model::slug::Slug;
use model::token::{SECRET_BYTES, is_secret, secret_text};
use proptest::prelude::*;
use uuid::Uuid;

proptest! {
    #[test]
    fn ids_are_their_text(uuid in any::<u128>(), text in ".*", near in "(app|dep)_[0-9a-zA-Z]{24,28}") {
        let id = DeploymentId::from(Uuid::from_u128(uuid));
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        for text in [text, near] {
            if let Ok(id) = text.parse::<AppId>() {
                prop_assert_eq!(id.to_string(), text.to_ascii_lowercase());
            }
        }
    }

    #[test]
    fn cursors_are_their_text(uuid in any::<u128>(), text in ".*", near in "[0-9a-zA-Z]{26}") {
        let cursor = Cursor(Uuid::from_u128(uuid));
        prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in [text, near] {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }

    #[test]
    fn segments_are_ids_or_slugs(text in ".*", near in "(org_)?[0-9a-z-]{1,30}") {
        for text in [text, near] {
            match Segment::<OrganizationId>::from(text.as_str()) {
                Segment::Id(id) => prop_assert_eq!(id.to_string(), text.to_ascii_lowercase()),
                Segment::Slug(slug) => prop_assert_eq!(slug, text),
            }
        }
    }

    #[test]
    fn slugs_are_dns_names(text in ".*", near in "[a-z0-9-]{1,45}") {
        for text in [text, near] {
            if let Ok(slug) = text.parse::<Slug>() {
                prop_assert_eq!(slug.to_string(), text.clone());
                prop_assert!(text.len() <= 40 && !text.ends_with('-'), "{}", text);
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
            }
        }
    }

    #[test]
    fn images_name_a_tag_or_a_digest(text in ".*", near in "([a-z0-9.:\\[\\]]{1,9}/)?[a-zA-Z0-9._/-]{1,12}(:[\\w.]{0,5})?(@sha256:[a-f0-9]{63,65})?") {
        for text in [text, near] {
            if let Some(image) = ImageReference::parse(&text) {
                prop_assert_eq!(image.as_str(), text);
                let pinned = image.at_digest(&format!("sha256:{}", "a".repeat(64)));
                let again = ImageReference::parse(&pinned);
                prop_assert!(again.is_some_and(|again| again.is_of_the_repository_of(&image)), "{}", pinned);
            }
        }
    }

    #[test]
    fn secrets_have_their_checksum(random in any::<[u8; SECRET_BYTES]>(), text in ".*", at in 9usize..81, to in "[0-9a-f]") {
        let secret = secret_text("org", &random);
        prop_assert!(is_secret(&secret));
        let mut other = secret.clone();
        other.replace_range(at..=at, &to);
        prop_assert_eq!(is_secret(&other), other == secret);
        _ = is_secret(&text);
    }

    #[test]
    fn networks_are_their_text(text in ".*", near in "[0-9a-f.:]{1,20}/[0-9]{1,3}") {
        for text in [text, near] {
            if let Ok(network) = text.parse::<IpNet>() {
                prop_assert_eq!(network.to_string().parse(), Ok(network));
            }
        }
    }

    #[test]
    fn envelopes_are_read_or_dead_letters(uuid in any::<u128>(), bytes in prop::collection::vec(any::<u8>(), 0..200), version in any::<i64>(), text in ".*") {
        let envelope = Envelope::new(DeploymentId::from(Uuid::from_u128(uuid)));
        let written = serde_json::to_vec(&envelope).unwrap();
        let read: Envelope = serde_json::from_slice(&written).unwrap();
        prop_assert_eq!(serde_json::to_vec(&read).unwrap(), written);
        _ = serde_json::from_slice::<Envelope>(&bytes);
        let near = serde_json::json!({ "version": version, "deployment": text });
        _ = serde_json::from_value::<Envelope>(near);
        _ = text.parse::<TokenId>();
    }
}
