"""The store: tables of posts, events, accounts and entities, and what is asked of them."""
