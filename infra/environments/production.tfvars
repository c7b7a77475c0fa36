environment         = "production"
deletion_protection = true
log_retention_days  = 90
concurrency         = { management = 10, ingest = 100 }
