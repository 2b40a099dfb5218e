//! The tables, in SQLite: rows, migrations, the callback outbox.
