environment         = "production"
deletion_protection = true
log_retention_days  = 90
# Needs a limit of 321 in the account; a new account has 10. `cargo xtask deploy` compares them, docs/DEPLOY.md says how
# to ask for more.
concurrency = { management = 10, emergency = 5, ingest = 100, ask = 100, evaluate = 4, promote = 2 }
