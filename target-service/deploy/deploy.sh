#!/usr/bin/env bash
# Puts the shop onto Cloud Run with gcloud: Cloud SQL, the password in Secret Manager, the shop's stock alerts in Pub/Sub.
# It costs money from the database on. Run it from the repository's folder, once; main.tf does the same with Terraform.
#
#   PROJECT=my-project REGION=europe-west1 bash target-service/deploy/deploy.sh
set -euo pipefail
: "${PROJECT:?set PROJECT to the project to deploy to}" "${REGION:?set REGION, such as europe-west1}"
image="$REGION-docker.pkg.dev/$PROJECT/shop/target-service:0.1.0"
account="shop-run@$PROJECT.iam.gserviceaccount.com"
g() { gcloud --project="$PROJECT" --quiet "$@"; }

g services enable run.googleapis.com sqladmin.googleapis.com secretmanager.googleapis.com pubsub.googleapis.com \
  artifactregistry.googleapis.com logging.googleapis.com

g artifacts repositories create shop --repository-format=docker --location="$REGION"
docker build -f target-service/Dockerfile -t "$image" .
docker push "$image"

g sql instances create shop --database-version=POSTGRES_14 --tier=db-custom-2-4096 --region="$REGION"
g sql databases create shop --instance=shop
# The password goes from one command into the next and is never shown or kept in a file.
password="$(head -c 24 /dev/urandom | base64 | tr '+/' '-_')"
g sql users create shop --instance=shop --password="$password"
printf %s "$password" | g secrets create shop-database-password --data-file=-
unset password

g iam service-accounts create shop-run --display-name="What the shop runs as"
g projects add-iam-policy-binding "$PROJECT" --member="serviceAccount:$account" --role=roles/cloudsql.client
g secrets add-iam-policy-binding shop-database-password \
  --member="serviceAccount:$account" --role=roles/secretmanager.secretAccessor

g run deploy shop --image="$image" --region="$REGION" --service-account="$account" --allow-unauthenticated \
  --execution-environment=gen2 --cpu=1 --memory=512Mi --concurrency=80 --min-instances=0 --max-instances=30 \
  --cpu-throttling --cpu-boost --timeout=60 \
  --add-cloudsql-instances="$PROJECT:$REGION:shop" \
  --set-env-vars="DATABASE_URL=postgres://shop@/shop?host=/cloudsql/$PROJECT:$REGION:shop,DATABASE_POOL_SIZE=2" \
  --set-env-vars="DATABASE_PASSWORD_FILE=/secrets/database/password,GOOGLE_CLOUD_PROJECT=$PROJECT" \
  --set-secrets=/secrets/database/password=shop-database-password:1

# The shop logs each product that a sale has taken the last of. Pub/Sub hands these to whoever restocks.
g pubsub topics create shop-sold-out
g pubsub subscriptions create shop-restock --topic=shop-sold-out --ack-deadline=10
g logging sinks create shop-sold-out "pubsub.googleapis.com/projects/$PROJECT/topics/shop-sold-out" \
  --log-filter='resource.type="cloud_run_revision" AND resource.labels.service_name="shop" AND jsonPayload.error="INVENTORY_SOLDOUT_ERROR"'
writer="$(g logging sinks describe shop-sold-out --format='value(writerIdentity)')"
g pubsub topics add-iam-policy-binding shop-sold-out --member="$writer" --role=roles/pubsub.publisher

g run services describe shop --region="$REGION" --format='value(status.url)'
