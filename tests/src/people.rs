//! People who came in as people do: made by an operator or by an invitation, with a password, logged in.

use anyhow::Result;
use serde_json::{Value, json};

use crate::answer::{Answer, text};
use crate::client::Client;

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
pub async fn person(operator: &Client, email: &str) -> Result<Person> {
    let body = json!({ "email": email, "name": "A person" });
    let user = operator.post("/v1/admin/users", &body).await?.expect(201)?;
    let id = text(&user, "/id")?.to_owned();
    let secret = reset(operator, &id).await?;
    let body = json!({ "secret": secret, "password": PASSWORD });
    anybody(operator).post("/v1/password-resets", &body).await?.expect(200)?;
    logged_in(operator, id, email).await
}

/// Makes a person who comes into an organization by an operator's invitation, and logs in.
pub async fn join(
    operator: &Client,
    organization: &str,
    email: &str,
    role: &str,
) -> Result<Person> {
    let secret = invite(operator, organization, email, role).await?;
    let body = json!({ "secret": secret, "name": "A person", "password": PASSWORD });
    let joined = anybody(operator).post("/v1/invitations/accept", &body).await?.expect(201)?;
    logged_in(operator, text(&joined, "/user")?.to_owned(), email).await
}

async fn logged_in(operator: &Client, id: String, email: &str) -> Result<Person> {
    let session = log_in(operator, email, PASSWORD).await?.expect(201)?;
    let client = operator.with_token(Some(text(&session, "/secret")?));
    Ok(Person { id, email: email.to_owned(), client })
}

/// Asks as nobody.
pub fn anybody(client: &Client) -> Client {
    client.with_token(None)
}

/// Tries to log in, at the API of this client.
pub async fn log_in(client: &Client, email: &str, password: &str) -> Result<Answer> {
    let body = json!({ "email": email, "password": password });
    client.with_token(None).post("/v1/sessions", &body).await
}

/// The secret of a password reset that an operator makes.
pub async fn reset(operator: &Client, user: &str) -> Result<String> {
    let path = format!("/v1/admin/users/{user}/password-reset");
    let made = operator.post(&path, &Value::Null).await?.expect(201)?;
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
