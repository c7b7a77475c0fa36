environment          = "staging"
secret_recovery_days = 0
log_retention_days   = 7
