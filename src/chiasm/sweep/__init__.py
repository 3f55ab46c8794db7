"""Settings over lists or ranges -> runs -> one table; any number of workers share a sweep through its folder."""
