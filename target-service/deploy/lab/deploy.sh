#!/usr/bin/env bash
# Puts the laboratory onto Cloud Run with gcloud: three services, a topic, and two subscriptions that push. Run it from
# the repository's folder, once; main.tf does the same with Terraform.
#
#   PROJECT=my-project REGION=europe-west1 bash target-service/deploy/lab/deploy.sh
#
# The set-up is the lab's own, with Pub/Sub's defaults; what can be added to it is said in comments.
set -euo pipefail
: "${PROJECT:?set PROJECT to the project to deploy to}" "${REGION:?set REGION, such as europe-west1}"
image="$REGION-docker.pkg.dev/$PROJECT/lab/target-service:0.1.0"
invoker="pubsub-cloud-run-invoker@$PROJECT.iam.gserviceaccount.com"
runner="lab-run@$PROJECT.iam.gserviceaccount.com"
g() { gcloud --project="$PROJECT" --quiet "$@"; }

g services enable run.googleapis.com pubsub.googleapis.com artifactregistry.googleapis.com

g artifacts repositories create lab --repository-format=docker --location="$REGION"
docker build -f target-service/Dockerfile -t "$image" .
docker push "$image"

g pubsub topics create new-lab-report

# The lab-report service may publish to its topic and nothing else; the other two need no rights at all.
g iam service-accounts create lab-run --display-name="What the lab's services run as"
g pubsub topics add-iam-policy-binding new-lab-report --member="serviceAccount:$runner" --role=roles/pubsub.publisher

# No --concurrency: Cloud Run's default of 80. What `tidegate tune` finds goes there.
g run deploy lab-report-service --image="$image" --region="$REGION" --service-account="$runner" \
  --args=lab-report --allow-unauthenticated --max-instances=1 \
  --set-env-vars="GOOGLE_CLOUD_PROJECT=$PROJECT,PUBSUB_TOPIC=new-lab-report"
for consumer in email sms; do
  # For an observer: --set-env-vars=DELIVERIES=/tmp/deliveries.db. The file is the instance's own and ends with it.
  g run deploy "$consumer-service" --image="$image" --region="$REGION" --service-account="$runner" \
    --args="$consumer" --no-allow-unauthenticated --max-instances=1
done

# Pub/Sub calls the private services with an ID token of an account that may call them.
g iam service-accounts create pubsub-cloud-run-invoker --display-name="PubSub Cloud Run Invoker"
number="$(g projects describe "$PROJECT" --format='value(projectNumber)')"
g projects add-iam-policy-binding "$PROJECT" --role=roles/iam.serviceAccountTokenCreator \
  --member="serviceAccount:service-$number@gcp-sa-pubsub.iam.gserviceaccount.com"
for consumer in email sms; do
  g run services add-iam-policy-binding "$consumer-service" --region="$REGION" \
    --member="serviceAccount:$invoker" --role=roles/run.invoker
  url="$(g run services describe "$consumer-service" --region="$REGION" --format='value(status.url)')"
  # Against a consumer that is pushed to at once again and again while it is down: --min-retry-delay=1s --max-retry-delay=60s.
  # Against a report that can never be delivered: --dead-letter-topic=dead-lab-report --max-delivery-attempts=100.
  g pubsub subscriptions create "$consumer-service-sub" --topic=new-lab-report \
    --push-endpoint="$url" --push-auth-service-account="$invoker"
done

g run services describe lab-report-service --region="$REGION" --format='value(status.url)'
