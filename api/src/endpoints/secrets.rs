//! Secrets of environments. What a handler does is the same for configs, which are in `configs`: here are both their doings.

mod objects;

use db::secrets::{
    SecretRow, VersionMade, secret_create, secret_delete, secret_get, secret_list, secret_update,
    secret_uses, secret_version_create, secret_version_list,
};
use db::{EnvironmentScope, SecretScope};
use model::secret::SecretKind;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;

pub(super) use objects::{
    SecretCreate, SecretCreated, SecretDeleted, SecretObject, SecretUpdate, SecretVersionCreate,
    SecretVersionCreated, SecretVersionObject, SecretView,
};

use super::Tag;
use crate::access::{Access, action};
use crate::body::Body;
use crate::done::{Done, kept};
use crate::idempotency::Key;
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;

/// Most bytes of a body with a value: the largest config in base64, or as a text of which every other character is escaped.
pub(super) const VALUE_BODY: usize = 2048 * 1024;

/// The endpoints of secrets.
pub(crate) struct Secrets;

/// What makes something in an environment, and what acts on what is there.
pub(super) type Managing = Access<action::SecretManage, EnvironmentScope>;
/// See [`Managing`].
pub(super) type ManagingOne = Access<action::SecretManage, SecretScope>;
/// See [`Managing`].
pub(super) type Changing = Access<action::SecretChange, SecretScope>;
/// See [`Managing`].
pub(super) type Reading = Access<action::SecretRead, EnvironmentScope>;
/// See [`Managing`].
pub(super) type ReadingOne = Access<action::SecretRead, SecretScope>;

#[OpenApi(tag = "Tag::Secrets")]
impl Secrets {
    /// Make a secret
    ///
    /// Sealed at once: nobody is ever shown the value again, and only workers can open it. An app of the environment gets it as a
    /// file when its `secrets` name it and it is deployed. A repetition of the request (`Idempotency-Key`) is known by everything
    /// but its value, of which nothing is kept to compare it with.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/secrets",
        method = "post",
        operation_id = "secret_create"
    )]
    async fn create(
        &self,
        access: Managing,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<SecretCreate, VALUE_BODY>,
    ) -> Result<Done<SecretCreated>, Problem> {
        create(SecretKind::Secret, &access, key, body).await
    }

    /// List the secrets of an environment
    ///
    /// Oldest first, each with its newest version's number and age.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/secrets",
        method = "get",
        operation_id = "secret_list"
    )]
    async fn list(
        &self,
        access: Reading,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<SecretObject>>, Problem> {
        let page =
            secret_list(&access.state.database, &access.scope, SecretKind::Secret, page).await?;
        Ok(Json(PageObject::of(page, SecretObject::from)))
    }

    /// Get a secret
    ///
    /// With everything that needs it: releases that are live, may be made live again or are on their way, and apps whose next release
    /// will have it.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/secrets/:secret",
        method = "get",
        operation_id = "secret_get"
    )]
    async fn get(&self, access: ReadingOne) -> Result<Json<SecretView>, Problem> {
        get(SecretKind::Secret, &access).await
    }

    /// Change a secret
    ///
    /// How old a version of it may be. The value changes by a new version.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/secrets/:secret",
        method = "patch",
        operation_id = "secret_update"
    )]
    async fn update(
        &self,
        access: ManagingOne,
        body: Body<SecretUpdate>,
    ) -> Result<Json<SecretObject>, Problem> {
        update(SecretKind::Secret, &access, body).await
    }

    /// Remove a secret
    ///
    /// Refused with `in_use` while a release that may be made live needs it, or an app's next one.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/secrets/:secret",
        method = "delete",
        operation_id = "secret_delete"
    )]
    async fn delete(&self, access: ManagingOne) -> Result<SecretDeleted, Problem> {
        delete(SecretKind::Secret, &access).await
    }

    /// Give a secret a new version
    ///
    /// What runs with the newest version is deployed with this one: what is live, and nothing that was changed and not deployed.
    /// `deploy: false` leaves everything as it runs. An app that names a version keeps it.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/secrets/:secret/versions",
        method = "post",
        operation_id = "secret_version_create"
    )]
    async fn create_version(
        &self,
        access: Changing,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<SecretVersionCreate, VALUE_BODY>,
    ) -> Result<Done<SecretVersionCreated>, Problem> {
        create_version(SecretKind::Secret, &access, key, body).await
    }

    /// List the versions of a secret
    ///
    /// Newest first, those whose value was thrown away included.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/secrets/:secret/versions",
        method = "get",
        operation_id = "secret_version_list"
    )]
    async fn list_versions(
        &self,
        access: ReadingOne,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<SecretVersionObject>>, Problem> {
        let at = (&access.scope, SecretKind::Secret);
        let page = secret_version_list(&access.state.database, at, page).await?;
        Ok(Json(PageObject::of(page, SecretVersionObject::from)))
    }
}

pub(super) async fn create(
    kind: SecretKind,
    access: &Managing,
    key: Key,
    body: Body<SecretCreate, VALUE_BODY>,
) -> Result<Done<SecretCreated>, Problem> {
    let request = access.request(key.saying(&body.value.said()));
    let wanted = body.value.opened(kind)?;
    let answer = |made: SecretRow| {
        let location = format!("{}/{}/{}", access.path, kind.plural(), made.0.name);
        kept(SecretCreated::Created(Json(made.into()), location))
    };
    let database = &access.state.database;
    let answered = secret_create(database, &access.scope, &wanted, &request, answer).await?;
    Ok(Done::of(answered)?)
}

pub(super) async fn get(
    kind: SecretKind,
    access: &ReadingOne,
) -> Result<Json<SecretView>, Problem> {
    let database = &access.state.database;
    let found = secret_get(database, &access.scope, kind).await?;
    let uses = secret_uses(database, &access.scope, &found.0).await?;
    Ok(Json(SecretView::of(found, uses)))
}

pub(super) async fn update(
    kind: SecretKind,
    access: &ManagingOne,
    body: Body<SecretUpdate>,
) -> Result<Json<SecretObject>, Problem> {
    let request = access.request(None);
    let days = body.value.rotation_days();
    let changed =
        secret_update(&access.state.database, &access.scope, kind, days, &request).await?;
    Ok(Json(changed.into()))
}

pub(super) async fn delete(
    kind: SecretKind,
    access: &ManagingOne,
) -> Result<SecretDeleted, Problem> {
    let request = access.request(None);
    secret_delete(&access.state.database, &access.scope, kind, &request).await?;
    Ok(SecretDeleted::Deleted)
}

pub(super) async fn create_version(
    kind: SecretKind,
    access: &Changing,
    key: Key,
    body: Body<SecretVersionCreate, VALUE_BODY>,
) -> Result<Done<SecretVersionCreated>, Problem> {
    let request = access.request(key.saying(&body.value.said()));
    let wanted = body.value.opened()?;
    let answer = |made: VersionMade| kept(SecretVersionCreated::Created(Json(made.into())));
    let state = &access.state;
    let at = (&access.scope, kind);
    let answered =
        secret_version_create(&state.database, &state.platform, at, &wanted, &request, answer)
            .await?;
    state.relay.wake();
    Ok(Done::of(answered)?)
}
