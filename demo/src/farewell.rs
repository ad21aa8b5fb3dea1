//! The end: where the documentation is, and lines to try next, as they can be pasted.

use model::id::DeploymentId;

/// Prints it. `broken`: a deployment whose evidence is worth a look.
pub(crate) fn say(url: &str, organization: &str, broken: DeploymentId) {
    println!(
        r#"
Everything stays as it is until ./dev reset. The API and its documentation: {url}/docs

Try next:
  eval "$(./dev env)"
  auth="Authorization: Bearer $SKEP_OPERATOR_TOKEN"; json="Content-Type: application/json"
  web="$SKEP_URL/v1/organizations/{organization}/environments/production/apps/web"
What runs, and why v3 did not stay:
  curl -s -H "$auth" "$web"
  curl -s -H "$auth" "$web/deployments/{broken}"
Another number of replicas, and v2 again; each answer has the deployment's id:
  curl -s -H "$auth" -H "$json" -d '{{"replicas": 3}}' "$web/scale"
  curl -s -H "$auth" -H "$json" -d '{{"image": "skep-demo:v2"}}' "$web/deployments"
All that was attempted:
  curl -s -H "$auth" "$web/deployments?limit=5""#
    );
}
