# The shop on Cloud Run with Cloud SQL, its password in Secret Manager and its stock alerts in Pub/Sub.
#
#   terraform init && terraform apply -var project=my-project -var image=REGION-docker.pkg.dev/…/target-service:0.1.0
#
# The state file holds the password, as always with Terraform: keep it where only the right people can read it.

terraform {
  required_version = ">= 1.6"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.0"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.6"
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

variable "max_instances" {
  type    = number
  default = 30
}

provider "google" {
  project = var.project
  region  = var.region
}

resource "google_project_service" "apis" {
  for_each           = toset(["run", "sqladmin", "secretmanager", "pubsub", "logging"])
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

resource "google_sql_database_instance" "shop" {
  name                = "shop"
  database_version    = "POSTGRES_14"
  deletion_protection = false
  settings {
    tier = "db-custom-2-4096"
  }
  depends_on = [google_project_service.apis]
}

resource "google_sql_database" "shop" {
  name     = "shop"
  instance = google_sql_database_instance.shop.name
}

resource "random_password" "database" {
  length  = 32
  special = false
}

resource "google_sql_user" "shop" {
  name     = "shop"
  instance = google_sql_database_instance.shop.name
  password = random_password.database.result
}

resource "google_secret_manager_secret" "database" {
  secret_id = "shop-database-password"
  replication {
    auto {}
  }
  depends_on = [google_project_service.apis]
}

resource "google_secret_manager_secret_version" "database" {
  secret      = google_secret_manager_secret.database.id
  secret_data = random_password.database.result
}

resource "google_service_account" "shop" {
  account_id   = "shop-run"
  display_name = "What the shop runs as"
}

resource "google_project_iam_member" "sql" {
  project = var.project
  role    = "roles/cloudsql.client"
  member  = google_service_account.shop.member
}

resource "google_secret_manager_secret_iam_member" "database" {
  secret_id = google_secret_manager_secret.database.id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.shop.member
}

resource "google_cloud_run_v2_service" "shop" {
  name                = "shop"
  location            = var.region
  deletion_protection = false
  template {
    service_account                  = google_service_account.shop.email
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    max_instance_request_concurrency = var.max_concurrency
    timeout                          = "60s"
    scaling {
      min_instance_count = 0
      max_instance_count = var.max_instances
    }
    containers {
      image = var.image
      resources {
        limits = {
          cpu    = "1"
          memory = "512Mi"
        }
        cpu_idle          = true
        startup_cpu_boost = true
      }
      env {
        name  = "DATABASE_URL"
        value = "postgres://shop@/shop?host=/cloudsql/${google_sql_database_instance.shop.connection_name}"
      }
      env {
        name  = "DATABASE_PASSWORD_FILE"
        value = "/secrets/database/password"
      }
      env {
        name  = "DATABASE_POOL_SIZE"
        value = "2"
      }
      env {
        name  = "GOOGLE_CLOUD_PROJECT"
        value = var.project
      }
      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 10
        http_get {
          path = "/ready"
        }
      }
      liveness_probe {
        http_get {
          path = "/healthy"
        }
      }
      volume_mounts {
        name       = "database"
        mount_path = "/secrets/database"
      }
      volume_mounts {
        name       = "cloudsql"
        mount_path = "/cloudsql"
      }
    }
    volumes {
      name = "database"
      secret {
        secret = google_secret_manager_secret.database.secret_id
        items {
          version = google_secret_manager_secret_version.database.version
          path    = "password"
        }
      }
    }
    volumes {
      name = "cloudsql"
      cloud_sql_instance {
        instances = [google_sql_database_instance.shop.connection_name]
      }
    }
  }
  # tidegate sets a candidate's concurrency by itself and puts it back.
  lifecycle {
    ignore_changes = [client, client_version]
  }
  depends_on = [
    google_project_iam_member.sql,
    google_secret_manager_secret_iam_member.database,
    google_sql_user.shop,
    google_sql_database.shop,
  ]
}

resource "google_cloud_run_v2_service_iam_member" "everybody" {
  name     = google_cloud_run_v2_service.shop.name
  location = var.region
  role     = "roles/run.invoker"
  member   = "allUsers"
}

# The shop logs each product that a sale has taken the last of. Pub/Sub hands these to whoever restocks.
resource "google_pubsub_topic" "sold_out" {
  name       = "shop-sold-out"
  depends_on = [google_project_service.apis]
}

resource "google_pubsub_subscription" "restock" {
  name                 = "shop-restock"
  topic                = google_pubsub_topic.sold_out.id
  ack_deadline_seconds = 10
}

resource "google_logging_project_sink" "sold_out" {
  name                   = "shop-sold-out"
  destination            = "pubsub.googleapis.com/${google_pubsub_topic.sold_out.id}"
  filter                 = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"shop\" AND jsonPayload.error=\"INVENTORY_SOLDOUT_ERROR\""
  unique_writer_identity = true
}

resource "google_pubsub_topic_iam_member" "sink" {
  topic  = google_pubsub_topic.sold_out.id
  role   = "roles/pubsub.publisher"
  member = google_logging_project_sink.sold_out.writer_identity
}

output "url" {
  value = google_cloud_run_v2_service.shop.uri
}
