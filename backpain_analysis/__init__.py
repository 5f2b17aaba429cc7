"""Exercise and back pain: real trial evidence in, dose-response estimates and reports out."""
