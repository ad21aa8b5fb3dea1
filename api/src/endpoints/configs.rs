//! Configs of environments: what is in `secrets`, at other paths.

use db::secrets::{secret_list, secret_version_list};
use model::secret::SecretKind;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;

use super::Tag;
use super::secrets::{
    Changing, Managing, ManagingOne, Reading, ReadingOne, SecretCreate, SecretCreated,
    SecretDeleted, SecretObject, SecretUpdate, SecretVersionCreate, SecretVersionCreated,
    SecretVersionObject, SecretView, VALUE_BODY, create, create_version, delete, get, update,
};
use crate::body::Body;
use crate::done::Done;
use crate::idempotency::Key;
use crate::page::{PageObject, PageQuery};
use crate::problem::Problem;

/// The endpoints of configs.
pub(crate) struct Configs;

#[OpenApi(tag = "Tag::Secrets")]
impl Configs {
    /// Make a config
    ///
    /// Sealed at once: nobody is ever shown the value again, and only workers can open it. An app of the environment gets it as a
    /// file at a path of its choice, when its `configs` name it and it is deployed. A repetition of the request (`Idempotency-Key`) is known by everything
    /// but its value, of which nothing is kept to compare it with.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/configs",
        method = "post",
        operation_id = "config_create"
    )]
    async fn create(
        &self,
        access: Managing,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<SecretCreate, VALUE_BODY>,
    ) -> Result<Done<SecretCreated>, Problem> {
        create(SecretKind::Config, &access, key, body).await
    }

    /// List the configs of an environment
    ///
    /// Oldest first, each with its newest version's number and age.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/configs",
        method = "get",
        operation_id = "config_list"
    )]
    async fn list(
        &self,
        access: Reading,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<SecretObject>>, Problem> {
        let page =
            secret_list(&access.state.database, &access.scope, SecretKind::Config, page).await?;
        Ok(Json(PageObject::of(page, SecretObject::from)))
    }

    /// Get a config
    ///
    /// With everything that needs it: releases that are live, may be made live again or are on their way, and apps whose next release
    /// will have it.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/configs/:config",
        method = "get",
        operation_id = "config_get"
    )]
    async fn get(&self, access: ReadingOne) -> Result<Json<SecretView>, Problem> {
        get(SecretKind::Config, &access).await
    }

    /// Change a config
    ///
    /// How old a version of it may be. The value changes by a new version.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/configs/:config",
        method = "patch",
        operation_id = "config_update"
    )]
    async fn update(
        &self,
        access: ManagingOne,
        body: Body<SecretUpdate>,
    ) -> Result<Json<SecretObject>, Problem> {
        update(SecretKind::Config, &access, body).await
    }

    /// Remove a config
    ///
    /// Refused with `in_use` while a release that may be made live needs it, or an app's next one.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/configs/:config",
        method = "delete",
        operation_id = "config_delete"
    )]
    async fn delete(&self, access: ManagingOne) -> Result<SecretDeleted, Problem> {
        delete(SecretKind::Config, &access).await
    }

    /// Give a config a new version
    ///
    /// What runs with the newest version is deployed with this one: what is live, and nothing that was changed and not deployed.
    /// `deploy: false` leaves everything as it runs. An app that names a version keeps it.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/configs/:config/versions",
        method = "post",
        operation_id = "config_version_create"
    )]
    async fn create_version(
        &self,
        access: Changing,
        /// Makes a repeated request the same request.
        #[oai(name = "Idempotency-Key")]
        key: Key,
        body: Body<SecretVersionCreate, VALUE_BODY>,
    ) -> Result<Done<SecretVersionCreated>, Problem> {
        create_version(SecretKind::Config, &access, key, body).await
    }

    /// List the versions of a config
    ///
    /// Newest first, those whose value was thrown away included.
    #[oai(
        path = "/v1/organizations/:organization/environments/:environment/configs/:config/versions",
        method = "get",
        operation_id = "config_version_list"
    )]
    async fn list_versions(
        &self,
        access: ReadingOne,
        PageQuery(page): PageQuery,
    ) -> Result<Json<PageObject<SecretVersionObject>>, Problem> {
        let at = (&access.scope, SecretKind::Config);
        let page = secret_version_list(&access.state.database, at, page).await?;
        Ok(Json(PageObject::of(page, SecretVersionObject::from)))
    }
}
