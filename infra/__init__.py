"""Everything around the product: set-up, the demo, test servers, the file map. The product imports nothing from here."""
