//! People who came in as people do: made by an operator or by an invitation, with a password, logged in.

use anyhow::Result;
use serde_json::{Value, json};

use crate::answer::{Answer, text};
use crate::client::Client;
use crate::skep::Skep;

/// The password of everybody whose password is not the point.
pub const PASSWORD: &str = "correct horse battery staple";

/// A person.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their id.
    pub id: String,
    /// Their email.
    pub email: String,
    /// Asks with their session.
    pub client: Client,
}

/// Makes a person, as an operator does, who sets a password and logs in.
pub async fn person(skep: &Skep, email: &str) -> Result<Person> {
    let body = json!({ "email": email, "name": "A person" });
    let user = skep.operator.post("/v1/admin/users", &body).await?.expect(201)?;
    let id = text(&user, "/id")?.to_owned();
    let secret = reset(skep, &id).await?;
    let body = json!({ "secret": secret, "password": PASSWORD });
    anybody(skep).post("/v1/password-resets", &body).await?.expect(200)?;
    logged_in(skep, id, email).await
}

/// Makes a person who comes into an organization by an operator's invitation, and logs in.
pub async fn join(skep: &Skep, organization: &str, email: &str, role: &str) -> Result<Person> {
    let secret = invite(&skep.operator, organization, email, role).await?;
    let body = json!({ "secret": secret, "name": "A person", "password": PASSWORD });
    let joined = anybody(skep).post("/v1/invitations/accept", &body).await?.expect(201)?;
    logged_in(skep, text(&joined, "/user")?.to_owned(), email).await
}

async fn logged_in(skep: &Skep, id: String, email: &str) -> Result<Person> {
    let session = log_in(&skep.operator, email, PASSWORD).await?.expect(201)?;
    let client = skep.operator.with_token(Some(text(&session, "/secret")?));
    Ok(Person { id, email: email.to_owned(), client })
}

/// Asks as nobody.
pub fn anybody(skep: &Skep) -> Client {
    skep.operator.with_token(None)
}

/// Tries to log in, at the API of this client.
pub async fn log_in(client: &Client, email: &str, password: &str) -> Result<Answer> {
    let body = json!({ "email": email, "password": password });
    client.with_token(None).post("/v1/sessions", &body).await
}

/// The secret of a password reset that an operator makes.
pub async fn reset(skep: &Skep, user: &str) -> Result<String> {
    let path = format!("/v1/admin/users/{user}/password-reset");
    let made = skep.operator.post(&path, &Value::Null).await?.expect(201)?;
    Ok(text(&made, "/secret")?.to_owned())
}

/// The secret of an invitation that this client makes.
pub async fn invite(
    client: &Client,
    organization: &str,
    email: &str,
    role: &str,
) -> Result<String> {
    let path = format!("/v1/organizations/{organization}/invitations");
    let body = json!({ "email": email, "role": role });
    let made = client.post(&path, &body).await?.expect(201)?;
    Ok(text(&made, "/secret")?.to_owned())
}
