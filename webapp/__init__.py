"""Settings, addresses, the Celery application, and what starts and stops the product's processes."""
