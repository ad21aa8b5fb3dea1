//! The tables as diesel sees them. Held equal to the migrated database by the test
//! `schema_matches`.

use diesel::{allow_tables_to_appear_in_same_query, joinable, table};

table! {
    platform (id) {
        id -> Int2,
        name -> Text,
        endpoint_mode -> Text,
        local_images -> Bool,
        cpu_reservation_ratio -> Float4,
        memory_reservation_ratio -> Float4,
        tenants_on_managers -> Bool,
        network_mtu -> Nullable<Int4>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        deadline_schedule_seconds -> Int4,
        deadline_pull_seconds -> Int4,
        deadline_healthy_seconds -> Int4,
        deadline_progress_seconds -> Int4,
        on_drift -> Text,
        encryption -> Text,
        on_disk_full -> Text,
    }
}

table! {
    organizations (id) {
        id -> Uuid,
        slug -> Text,
        name -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        suspended_at -> Nullable<Timestamptz>,
        suspended_reason -> Nullable<Text>,
        policy_exceptions -> Array<Text>,
        delete_after -> Nullable<Timestamptz>,
        deleted_at -> Nullable<Timestamptz>,
    }
}

table! {
    plans (name) {
        name -> Text,
        quotas -> Jsonb,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        rates -> Jsonb,
    }
}

table! {
    organization_quotas (organization_id) {
        organization_id -> Uuid,
        plan -> Text,
        overrides -> Jsonb,
        used_cpu_millis -> Int8,
        used_memory_mb -> Int8,
        used_disk_gb -> Int8,
        used_replicas -> Int8,
        used_apps -> Int8,
        used_environments -> Int8,
        used_secrets -> Int8,
        used_members -> Int8,
        used_tokens -> Int8,
        used_deployments -> Int8,
        deployments_on -> Date,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        rate_overrides -> Jsonb,
    }
}

table! {
    rate_windows (minute, asker, organization, class) {
        minute -> Int8,
        asker -> Uuid,
        organization -> Uuid,
        class -> Text,
        taken -> Int4,
    }
}

table! {
    tokens (id) {
        id -> Uuid,
        organization_id -> Nullable<Uuid>,
        name -> Text,
        secret_hash -> Bytea,
        expires_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        kind -> Text,
        user_id -> Nullable<Uuid>,
        platform_role -> Nullable<Text>,
        scopes -> Array<Text>,
        environments -> Nullable<Array<Uuid>>,
        networks -> Nullable<Array<Cidr>>,
        last_used_at -> Nullable<Timestamptz>,
        rotated_to -> Nullable<Uuid>,
    }
}

table! {
    users (id) {
        id -> Uuid,
        email -> Text,
        name -> Text,
        platform_role -> Nullable<Text>,
        disabled_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    user_passwords (user_id) {
        user_id -> Uuid,
        hash -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    password_resets (id) {
        id -> Uuid,
        user_id -> Uuid,
        secret_hash -> Bytea,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    login_failures (email_hash) {
        email_hash -> Bytea,
        failures -> Int4,
        locked_until -> Timestamptz,
        tried_at -> Timestamptz,
    }
}

table! {
    invitations (id) {
        id -> Uuid,
        organization_id -> Uuid,
        email -> Text,
        role -> Text,
        secret_hash -> Bytea,
        expires_at -> Timestamptz,
        accepted_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    members (id) {
        id -> Uuid,
        organization_id -> Uuid,
        user_id -> Uuid,
        role -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    environments (id) {
        id -> Uuid,
        organization_id -> Uuid,
        slug -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        removed_at -> Nullable<Timestamptz>,
    }
}

table! {
    subnet_pools (id) {
        id -> Uuid,
        range -> Cidr,
        cursor -> Inet,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    resting_subnets (subnet) {
        subnet -> Cidr,
        organization_id -> Uuid,
        until -> Timestamptz,
    }
}

table! {
    reserved_ranges (id) {
        id -> Uuid,
        range -> Cidr,
        source -> Text,
        note -> Text,
        seen_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

// A view: Postgres says of none of its columns that they are never null.
table! {
    taken_ranges (range) {
        range -> Nullable<Cidr>,
    }
}

table! {
    networks (id) {
        id -> Uuid,
        organization_id -> Uuid,
        environment_id -> Uuid,
        name -> Text,
        subnet -> Cidr,
        mtu -> Nullable<Int4>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        access -> Text,
        encrypted -> Bool,
        retired_at -> Nullable<Timestamptz>,
        reserved_addresses -> Int4,
    }
}

table! {
    isolation_checks (id) {
        id -> Uuid,
        status -> Text,
        environments -> Array<Uuid>,
        requested_by -> Nullable<Uuid>,
        claimed_until -> Nullable<Timestamptz>,
        tries -> Int4,
        verdict -> Nullable<Text>,
        sentence -> Nullable<Text>,
        findings -> Nullable<Jsonb>,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    sealing_keys (id) {
        id -> Text,
        public_key -> Bytea,
        is_current -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    secrets (id) {
        id -> Uuid,
        organization_id -> Uuid,
        environment_id -> Uuid,
        kind -> Text,
        name -> Text,
        last_version -> Int4,
        rotation_days -> Nullable<Int4>,
        told_version -> Int4,
        removed_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    secret_versions (id) {
        id -> Uuid,
        organization_id -> Uuid,
        secret_id -> Uuid,
        number -> Int4,
        bytes -> Int4,
        key_id -> Nullable<Text>,
        sealed -> Nullable<Bytea>,
        swarm_name -> Nullable<Text>,
        collected_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    release_secrets (release_id, secret_version_id) {
        release_id -> Uuid,
        secret_version_id -> Uuid,
        organization_id -> Uuid,
    }
}

table! {
    registry_credentials (id) {
        id -> Uuid,
        organization_id -> Uuid,
        registry -> Text,
        kind -> Text,
        username -> Nullable<Text>,
        version -> Int4,
        key_id -> Text,
        sealed -> Bytea,
        issued_key_id -> Nullable<Text>,
        issued_sealed -> Nullable<Bytea>,
        expires_at -> Nullable<Timestamptz>,
        checked_at -> Nullable<Timestamptz>,
        check_status -> Nullable<Text>,
        check_answer -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    registry_candidates (id) {
        id -> Uuid,
        organization_id -> Uuid,
        registry -> Text,
        kind -> Text,
        username -> Nullable<Text>,
        key_id -> Text,
        sealed -> Bytea,
        expires_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    app_disk (app_id) {
        app_id -> Uuid,
        organization_id -> Uuid,
        replicas -> Jsonb,
        used_bytes -> Int8,
        limit_bytes -> Int8,
        level -> Text,
        since -> Timestamptz,
        measured_at -> Timestamptz,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    disk_rounds (id) {
        id -> Int2,
        next_at -> Timestamptz,
    }
}

table! {
    swarm_seen (id) {
        id -> Int2,
        nodes -> Int4,
        seen_at -> Timestamptz,
    }
}

table! {
    apps (id) {
        id -> Uuid,
        organization_id -> Uuid,
        environment_id -> Uuid,
        slug -> Text,
        service_name -> Text,
        spec -> Jsonb,
        spec_version -> Int2,
        replicas -> Int4,
        last_release -> Int4,
        live_release_id -> Nullable<Uuid>,
        live_restart_counter -> Int8,
        live_replicas -> Nullable<Int4>,
        removal_requested_at -> Nullable<Timestamptz>,
        removed_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        stopped_at -> Nullable<Timestamptz>,
        live_version -> Nullable<Int8>,
        live_fingerprint -> Nullable<Jsonb>,
        live_release_number -> Nullable<Int4>,
        live_addresses -> Int4,
        reserved_addresses -> Int4,
        live_tasks -> Int4,
        live_cpu_millis -> Int4,
        live_memory_mb -> Int4,
        live_disk_gb -> Int4,
        reserved_tasks -> Int4,
        reserved_cpu_millis -> Int4,
        reserved_memory_mb -> Int4,
        reserved_disk_gb -> Int4,
    }
}

table! {
    releases (id) {
        id -> Uuid,
        organization_id -> Uuid,
        app_id -> Uuid,
        number -> Int4,
        spec -> Jsonb,
        spec_version -> Int2,
        resolved_image -> Nullable<Text>,
        stable_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    deployments (id) {
        id -> Uuid,
        organization_id -> Uuid,
        app_id -> Uuid,
        release_id -> Nullable<Uuid>,
        kind -> Text,
        status -> Text,
        reason_code -> Nullable<Text>,
        reason -> Nullable<Text>,
        replicas -> Int4,
        restart_counter -> Int8,
        force -> Bool,
        spec_version -> Int2,
        requested_by -> Nullable<Uuid>,
        superseded_by -> Nullable<Uuid>,
        fence -> Int8,
        lease_owner -> Nullable<Uuid>,
        lease_expires_at -> Nullable<Timestamptz>,
        started_at -> Nullable<Timestamptz>,
        applied_at -> Nullable<Timestamptz>,
        progressed_at -> Nullable<Timestamptz>,
        healthy_since -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        cancel_requested_at -> Nullable<Timestamptz>,
        addresses -> Nullable<Int4>,
        tasks -> Nullable<Int4>,
        cpu_millis -> Nullable<Int4>,
        memory_mb -> Nullable<Int4>,
        disk_gb -> Nullable<Int4>,
    }
}

table! {
    deployment_events (id) {
        id -> Int8,
        organization_id -> Uuid,
        deployment_id -> Uuid,
        status -> Text,
        message -> Text,
        created_at -> Timestamptz,
    }
}

table! {
    deployment_evidence (deployment_id) {
        deployment_id -> Uuid,
        organization_id -> Uuid,
        evidence -> Jsonb,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    app_status (app_id) {
        app_id -> Uuid,
        organization_id -> Uuid,
        health -> Text,
        cause -> Nullable<Text>,
        release_id -> Nullable<Uuid>,
        desired -> Int4,
        running -> Int4,
        tasks -> Jsonb,
        since -> Timestamptz,
        observed_at -> Timestamptz,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        health_id -> Uuid,
        release_number -> Nullable<Int4>,
        virtual_address -> Nullable<Inet>,
    }
}

table! {
    app_health (id) {
        id -> Uuid,
        organization_id -> Uuid,
        app_id -> Uuid,
        health -> Text,
        cause -> Nullable<Text>,
        release_id -> Nullable<Uuid>,
        since -> Timestamptz,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    crash_loops (app_id) {
        app_id -> Uuid,
        organization_id -> Uuid,
        deployment_id -> Uuid,
        rounds -> Int2,
        kept -> Int4,
        resumes_at -> Timestamptz,
        recovered_at -> Nullable<Timestamptz>,
        cause -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    drift (id) {
        id -> Uuid,
        kind -> Text,
        object_type -> Text,
        object -> Text,
        organization_id -> Nullable<Uuid>,
        app_id -> Nullable<Uuid>,
        sentence -> Text,
        deployment_id -> Nullable<Uuid>,
        seen_at -> Timestamptz,
        resolved_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

table! {
    outbox (id) {
        id -> Int8,
        deployment_id -> Uuid,
        created_at -> Timestamptz,
    }
}

table! {
    idempotency_keys (token_id, route, key) {
        token_id -> Uuid,
        route -> Text,
        key -> Text,
        request_hash -> Bytea,
        deployment_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
        status -> Nullable<Int2>,
        headers -> Nullable<Jsonb>,
        body -> Nullable<Text>,
    }
}

table! {
    audit_log (id) {
        id -> Uuid,
        organization_id -> Nullable<Uuid>,
        token_id -> Nullable<Uuid>,
        action -> Text,
        object -> Text,
        before -> Nullable<Jsonb>,
        after -> Nullable<Jsonb>,
        request_id -> Text,
        address -> Nullable<Text>,
        created_at -> Timestamptz,
        user_id -> Nullable<Uuid>,
        result -> Text,
    }
}

table! {
    erased_images (image) {
        image -> Text,
        created_at -> Timestamptz,
    }
}

table! {
    audit_unchained (audit_id) {
        audit_id -> Uuid,
    }
}

table! {
    audit_chain (organization_id, number) {
        organization_id -> Uuid,
        number -> Int8,
        audit_id -> Uuid,
        hash -> Bytea,
        created_at -> Timestamptz,
    }
}

joinable!(tokens -> organizations (organization_id));
joinable!(members -> users (user_id));
joinable!(environments -> organizations (organization_id));
joinable!(networks -> environments (environment_id));
joinable!(apps -> environments (environment_id));
joinable!(releases -> apps (app_id));
joinable!(deployments -> apps (app_id));
joinable!(deployments -> releases (release_id));
joinable!(deployment_events -> deployments (deployment_id));
joinable!(deployment_evidence -> deployments (deployment_id));
joinable!(app_status -> apps (app_id));
joinable!(app_health -> releases (release_id));
joinable!(secrets -> environments (environment_id));
joinable!(secret_versions -> secrets (secret_id));
joinable!(release_secrets -> releases (release_id));
joinable!(release_secrets -> secret_versions (secret_version_id));
joinable!(crash_loops -> apps (app_id));

allow_tables_to_appear_in_same_query!(
    platform,
    organizations,
    tokens,
    users,
    user_passwords,
    password_resets,
    login_failures,
    invitations,
    members,
    environments,
    subnet_pools,
    networks,
    apps,
    releases,
    deployments,
    deployment_events,
    deployment_evidence,
    app_status,
    app_health,
    crash_loops,
    drift,
    secrets,
    secret_versions,
    release_secrets,
    sealing_keys,
    registry_credentials,
    registry_candidates,
    outbox,
    idempotency_keys,
    erased_images,
    audit_log,
    audit_unchained,
    audit_chain,
);
