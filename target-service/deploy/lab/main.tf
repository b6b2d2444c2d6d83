# The laboratory on Cloud Run: three services, a topic, and two subscriptions that push with an ID token.
#
#   terraform init && terraform apply -var project=my-project -var image=REGION-docker.pkg.dev/…/target-service:0.1.0

terraform {
  required_version = ">= 1.6"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.0"
    }
  }
}

variable "project" {
  type = string
}

variable "region" {
  type    = string
  default = "europe-west1"
}

variable "image" {
  type = string
}

# What `tidegate tune` finds goes here.
variable "max_concurrency" {
  type    = number
  default = 80
}

provider "google" {
  project = var.project
  region  = var.region
}

resource "google_project_service" "apis" {
  for_each           = toset(["run", "pubsub"])
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

resource "google_pubsub_topic" "reports" {
  name       = "new-lab-report"
  depends_on = [google_project_service.apis]
}

resource "google_service_account" "runner" {
  account_id   = "lab-run"
  display_name = "What the lab's services run as"
}

# The lab-report service may publish to its topic and nothing else; the other two need no rights at all.
resource "google_pubsub_topic_iam_member" "publisher" {
  topic  = google_pubsub_topic.reports.id
  role   = "roles/pubsub.publisher"
  member = google_service_account.runner.member
}

resource "google_cloud_run_v2_service" "report" {
  name                = "lab-report-service"
  location            = var.region
  deletion_protection = false
  template {
    service_account                  = google_service_account.runner.email
    max_instance_request_concurrency = var.max_concurrency
    scaling {
      max_instance_count = 1
    }
    containers {
      image = var.image
      args  = ["lab-report"]
      env {
        name  = "GOOGLE_CLOUD_PROJECT"
        value = var.project
      }
      env {
        name  = "PUBSUB_TOPIC"
        value = google_pubsub_topic.reports.name
      }
    }
  }
  # tidegate sets a candidate's concurrency by itself and puts it back.
  lifecycle {
    ignore_changes = [client, client_version]
  }
  depends_on = [google_pubsub_topic_iam_member.publisher]
}

resource "google_cloud_run_v2_service_iam_member" "everybody" {
  name     = google_cloud_run_v2_service.report.name
  location = var.region
  role     = "roles/run.invoker"
  member   = "allUsers"
}

# A third consumer is one more word here: it runs the e-mail service's program under its own name.
resource "google_cloud_run_v2_service" "consumer" {
  for_each            = toset(["email", "sms"])
  name                = "${each.key}-service"
  location            = var.region
  deletion_protection = false
  template {
    service_account                  = google_service_account.runner.email
    max_instance_request_concurrency = var.max_concurrency
    scaling {
      max_instance_count = 1
    }
    containers {
      image = var.image
      args  = [each.key == "sms" ? "sms" : "email"]
      # For an observer; the file is the instance's own and ends with it.
      # env {
      #   name  = "DELIVERIES"
      #   value = "/tmp/deliveries.db"
      # }
    }
  }
  lifecycle {
    ignore_changes = [client, client_version]
  }
  depends_on = [google_project_service.apis]
}

# Pub/Sub calls the private services with an ID token of an account that may call them.
resource "google_service_account" "invoker" {
  account_id   = "pubsub-cloud-run-invoker"
  display_name = "PubSub Cloud Run Invoker"
}

data "google_project" "this" {
}

resource "google_project_iam_member" "tokens" {
  project = var.project
  role    = "roles/iam.serviceAccountTokenCreator"
  member  = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = google_cloud_run_v2_service.consumer
  name     = each.value.name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.invoker.member
}

resource "google_pubsub_subscription" "push" {
  for_each = google_cloud_run_v2_service.consumer
  name     = "${each.value.name}-sub"
  topic    = google_pubsub_topic.reports.id
  push_config {
    push_endpoint = each.value.uri
    oidc_token {
      service_account_email = google_service_account.invoker.email
    }
  }
  # Against a consumer that is pushed to at once again and again while it is down:
  # retry_policy {
  #   minimum_backoff = "1s"
  #   maximum_backoff = "60s"
  # }
  # Against a report that can never be delivered:
  # dead_letter_policy {
  #   dead_letter_topic     = a second topic's id
  #   max_delivery_attempts = 100
  # }
  depends_on = [google_project_iam_member.tokens, google_cloud_run_v2_service_iam_member.invoker]
}

output "lab_url" {
  value = google_cloud_run_v2_service.report.uri
}
