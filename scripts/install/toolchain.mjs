// Filled in with the install checks.
