//! What the API keeps as it was told, as rows of one table.

use model::{AccountSid, Kind, Resource, Timestamp};
use rusqlite::{Connection, Row};

use crate::query::{DateFilter, List, Listed, Place};
use crate::wanted::Where;
use crate::{Store, StoreFailed, row};

/// Where a resource stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelf {
    /// Whose.
    pub account: AccountSid,
    /// What.
    pub kind: Kind,
    /// The SID of what they are a part of; empty: the account's.
    pub parent: String,
}

/// Which resources of a shelf to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceFilter {
    /// Fields that have these values.
    pub fields: Vec<(&'static str, String)>,
    /// A part of the name; `_` is any one letter.
    pub name: Option<String>,
    /// When they were made.
    pub date_created: DateFilter,
}

fn list(account: AccountSid, kind: Kind, parent: &str) -> String {
    format!("{account} {kind} {parent}")
}

pub fn write(connection: &Connection, record: &Resource) -> rusqlite::Result<()> {
    row::upsert(
        connection,
        "resources",
        "list, sid",
        &[
            ("list", &list(record.account, record.kind, &record.parent)),
            ("sid", &record.sid),
            ("account", &record.account.to_string()),
            ("kind", &record.kind.as_str()),
            ("parent", &record.parent),
            ("name", &record.name),
            ("fields", &serde_json::to_string(&record.fields).unwrap_or_default()),
            ("date_created", &record.date_created.0),
            ("date_updated", &record.date_updated.0),
        ],
    )
}

/// A list goes with what is in it and with what it opens.
pub fn delete(connection: &Connection, record: &Resource) -> rusqlite::Result<()> {
    if record.parent.is_empty() {
        let statement = "DELETE FROM resources WHERE account = ?1 AND (sid = ?2 OR parent = ?2)";
        let key = [record.account.to_string(), record.sid.clone()];
        return connection.prepare_cached(statement)?.execute(key).map(drop);
    }
    let statement = "DELETE FROM resources WHERE list = ?1 AND sid = ?2";
    let key = [list(record.account, record.kind, &record.parent), record.sid.clone()];
    connection.prepare_cached(statement)?.execute(key).map(drop)
}

fn resource(row: &Row<'_>) -> rusqlite::Result<Resource> {
    let fields: String = row.get("fields")?;
    Ok(Resource {
        kind: row::parsed(row, "kind")?,
        sid: row.get("sid")?,
        account: row::parsed(row, "account")?,
        parent: row.get("parent")?,
        name: row.get("name")?,
        fields: serde_json::from_str(&fields)
            .map_err(|error| row::unreadable(error.to_string()))?,
        date_created: Timestamp(row.get("date_created")?),
        date_updated: Timestamp(row.get("date_updated")?),
    })
}

impl Store {
    /// Returns a resource.
    ///
    /// # Errors
    /// When the database cannot be read; so below.
    pub fn resource(&self, shelf: &Shelf, sid: &str) -> Result<Option<Resource>, StoreFailed> {
        let statement = "SELECT * FROM resources WHERE list = ?1 AND sid = ?2";
        let list = list(shelf.account, shelf.kind, &shelf.parent);
        self.read(|db| row::first(db, statement, &[&list, &sid], resource))
    }

    /// Returns the resource of this kind that the world knows by this name, whoever's it is.
    ///
    /// # Errors
    /// As above.
    pub fn resource_named(&self, kind: Kind, name: &str) -> Result<Option<Resource>, StoreFailed> {
        let statement = "SELECT * FROM resources WHERE kind = ?1 AND name = ?2";
        self.read(|db| row::first(db, statement, &[&kind.as_str(), &name], resource))
    }

    /// Lists the resources of a shelf.
    ///
    /// # Errors
    /// As above.
    pub fn resources(
        &self,
        shelf: &Shelf,
        filter: &ResourceFilter,
        page_size: usize,
        place: &Place,
    ) -> Listed<Resource> {
        let mut wanted = Where::default();
        for (field, value) in &filter.fields {
            let member = format!("json_extract(fields, '$.{field}') =");
            wanted.and(&member, Some(value.clone()));
        }
        wanted.and("name LIKE", filter.name.as_ref().map(|part| format!("%{part}%")));
        wanted.dates("date_created", filter.date_created);
        let owner = ("list", list(shelf.account, shelf.kind, &shelf.parent));
        let list = List { table: "resources", owner, seq: "seq" };
        self.page(&list, wanted, page_size, place, resource)
    }

    /// Returns how many resources stand on a shelf.
    ///
    /// # Errors
    /// As above.
    pub fn count_resources(&self, shelf: &Shelf) -> Result<u64, StoreFailed> {
        let statement = "SELECT count(*) FROM resources WHERE list = ?1";
        let list = list(shelf.account, shelf.kind, &shelf.parent);
        self.read(|db| db.prepare_cached(statement)?.query_row([list], |row| row.get(0)))
    }

    /// Returns every resource of a kind, oldest first.
    ///
    /// # Errors
    /// As above.
    pub fn resources_of_kind(&self, kind: Kind) -> Result<Vec<Resource>, StoreFailed> {
        let statement = "SELECT * FROM resources WHERE kind = ?1 ORDER BY seq";
        self.read(|db| {
            db.prepare_cached(statement)?.query_map([kind.as_str()], resource)?.collect()
        })
    }
}
