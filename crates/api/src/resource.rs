//! The one shape of what the API keeps as it was told: made, listed, read, changed and deleted.
//!
//! A resource is a [`Table`] of parameters and fields; what else is to be true of it says its `check`.

use axum::http::{Method, StatusCode};
use model::{Change, Kind, Resource};
use node::{Handle, ResourceFilter, Shelf};
use serde_json::{Map, Value, json};

use crate::error::{ApiError, code};
use crate::form::Form;
use crate::paging::{Asked, List, ordered};
use crate::rule::Rule;
use crate::{Answer, Request, ask};

/// Most resources of one kind that an account, or what they are a part of, has.
const RESOURCES_MAX: u64 = 10_000;

/// What a field is where its parameter is absent when the resource is made, or empty.
#[derive(Debug, Clone, Copy)]
pub enum Absent {
    Null,
    Text(&'static str),
    Flag(bool),
    /// It cannot be: the code that says so.
    Refused(u32),
}

/// One parameter, the field that it becomes, and what it must be.
#[derive(Debug)]
pub struct Parameter(pub &'static str, pub &'static str, pub Rule, pub Absent);

/// A filter of a list: the parameter, and the field that must be the same.
type Filter = (&'static str, &'static str);

/// A kind of resource, as a table says it.
#[derive(Debug)]
pub struct Table {
    pub kind: Kind,
    pub prefix: &'static str,
    /// Below the account; `{}` stands for the SID of what it is a part of.
    pub path: &'static str,
    /// What it is a part of, and the field that says so.
    pub part_of: Option<(&'static Table, &'static str)>,
    /// What it maps to what it is a part of: the parameter, and the kind; its SID is the mapped one's.
    pub maps: Option<(&'static str, &'static Table)>,
    /// The field by which the world knows it.
    pub known_by: &'static str,
    pub parameters: &'static [Parameter],
    pub list: List,
    pub filters: &'static [Filter],
    /// The members of a body in their order, and in a list.
    pub members: &'static [&'static str],
    pub listed: &'static [&'static str],
    /// What is below it: the name of the link and its path.
    pub links: &'static [(&'static str, &'static str)],
    /// What else must be true before it is written.
    pub check: fn(&Handle, &mut Resource) -> Result<(), ApiError>,
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, self.path) == (other.kind, other.path)
    }
}

impl Eq for Table {}

/// There is nothing else to be true.
pub fn unchecked(_: &Handle, _: &mut Resource) -> Result<(), ApiError> {
    Ok(())
}

/// `GET` and `POST` of a list.
pub async fn all(table: &'static Table, request: Request) -> Answer {
    let parent = table.parent(&request).await?;
    if request.method == Method::GET {
        let filter = ResourceFilter { fields: table.filters(&request.form), ..Default::default() };
        return table.page(&request, &parent, filter).await;
    }
    let _alone = request.node.change().await;
    let resource = table.new_one(&request, &parent)?;
    table.make(&request, resource).await
}

/// `GET`, `POST` and `DELETE` of one.
pub async fn one(table: &'static Table, request: Request) -> Answer {
    let parent = table.parent(&request).await?;
    let _alone = match request.method {
        Method::GET => None,
        _ => Some(request.node.change().await),
    };
    let mut resource = table.get(&request, &parent).await?;
    match request.method {
        Method::POST => {
            table.overlay(&request.form, &mut resource, true)?;
            resource.date_updated = request.node.date();
            let resource = table.keep(&request, resource).await?;
            Ok((StatusCode::OK, table.view(&resource, table.members)))
        }
        Method::DELETE => {
            request.write(Change::DeleteResource(Box::new(resource))).await?;
            request.node.refresh().await?;
            Ok((StatusCode::NO_CONTENT, Value::Null))
        }
        _ => Ok((StatusCode::OK, table.view(&resource, table.members))),
    }
}

impl Table {
    pub fn shelf(&self, request: &Request, parent: &str) -> Shelf {
        Shelf { account: request.account, kind: self.kind, parent: parent.to_owned() }
    }

    /// Returns the SID of what the path says it is a part of, which must be there.
    pub async fn parent(&self, request: &Request) -> Result<String, ApiError> {
        let Some((above, _)) = self.part_of else { return Ok(String::new()) };
        let sid = above.sid(&request.variables[0])?;
        let (shelf, key) = (above.shelf(request, ""), sid.clone());
        let known = request.ask(move |node| node.store().resource(&shelf, &key)).await?;
        known.map(|_| sid).ok_or_else(ApiError::not_found)
    }

    /// Reads a SID of this kind, in the letters that it is kept in.
    pub fn sid(&self, text: &str) -> Result<String, ApiError> {
        let digits = text.strip_prefix(self.prefix).filter(|digits| digits.len() == 32);
        let digits = digits.filter(|digits| digits.bytes().all(|octet| octet.is_ascii_hexdigit()));
        let digits = digits.ok_or_else(ApiError::not_found)?;
        Ok(format!("{}{}", self.prefix, digits.to_lowercase()))
    }

    /// Returns the one that the path names.
    pub async fn get(&self, request: &Request, parent: &str) -> Result<Resource, ApiError> {
        let sid = request.variables.last().map(String::as_str).unwrap_or_default();
        let (shelf, sid) = (self.shelf(request, parent), self.sid(sid)?);
        let found = request.ask(move |node| node.store().resource(&shelf, &sid)).await?;
        found.ok_or_else(ApiError::not_found)
    }

    fn filters(&self, form: &Form) -> Vec<(&'static str, String)> {
        let given =
            self.filters.iter().filter_map(|(name, field)| Some((field, form.filled(name)?)));
        given.map(|(field, value)| (*field, value.to_owned())).collect()
    }

    /// Renders a page of a list.
    pub async fn page(&self, request: &Request, parent: &str, filter: ResourceFilter) -> Answer {
        let path = self.address(request.account, parent);
        let view = |resource: &Resource| self.view(resource, self.listed);
        self.page_at(request, parent, filter, &path, view).await
    }

    /// Renders a page of a list under this path, and each of it by `view`.
    pub async fn page_at(
        &self,
        request: &Request,
        parent: &str,
        filter: ResourceFilter,
        path: &str,
        view: impl Fn(&Resource) -> Value,
    ) -> Answer {
        let form = &request.form;
        let asked = Asked::read(form)?;
        let (size, place, shelf) = (asked.size, asked.place.clone(), self.shelf(request, parent));
        let page =
            request.ask(move |node| node.store().resources(&shelf, &filter, size, &place)).await?;
        let sid = |resource: &Resource| resource.sid.clone();
        let path = format!("{path}.json");
        Ok((StatusCode::OK, asked.render(&self.list, form, &path, page, sid, view)?))
    }

    /// Makes a new one of the parameters.
    pub fn new_one(&self, request: &Request, parent: &str) -> Result<Resource, ApiError> {
        let (sid, _) = request.new_secret();
        let digits: String = sid.iter().map(|octet| format!("{octet:02x}")).collect();
        let date = request.node.date();
        let mut resource = Resource {
            kind: self.kind,
            sid: format!("{}{digits}", self.prefix),
            account: request.account,
            parent: parent.to_owned(),
            name: String::new(),
            fields: Map::new(),
            date_created: date,
            date_updated: date,
        };
        self.overlay(&request.form, &mut resource, false)?;
        Ok(resource)
    }

    /// Takes over what the parameters say; `exists` leaves as it is what they do not.
    pub fn overlay(
        &self,
        form: &Form,
        resource: &mut Resource,
        exists: bool,
    ) -> Result<(), ApiError> {
        for Parameter(name, field, rule, absent) in self.parameters {
            let value = match rule.read(form, name)? {
                None if exists => continue,
                Some(value) if !value.is_null() => value,
                None | Some(_) => match absent {
                    Absent::Null => Value::Null,
                    Absent::Text(text) => (*text).into(),
                    Absent::Flag(flag) => (*flag).into(),
                    Absent::Refused(code) => return Err(ApiError::missing(name, *code)),
                },
            };
            resource.fields.insert((*field).to_owned(), value);
        }
        Ok(())
    }

    /// Writes a new one, and answers with it.
    pub async fn make(&self, request: &Request, resource: Resource) -> Answer {
        let resource = self.make_quietly(request, resource).await?;
        Ok((StatusCode::CREATED, self.view(&resource, self.members)))
    }

    /// Writes a new one.
    pub async fn make_quietly(
        &self,
        request: &Request,
        resource: Resource,
    ) -> Result<Resource, ApiError> {
        let shelf = self.shelf(request, &resource.parent);
        let count = request.ask(move |node| node.store().count_resources(&shelf)).await?;
        if count >= RESOURCES_MAX {
            let message = format!("There are {RESOURCES_MAX} already, and no more can be made");
            return Err(ApiError::new(400, code::BAD_REQUEST, &message));
        }
        self.keep(request, resource).await
    }

    /// Checks and writes one, and lets the node know.
    pub async fn keep(
        &self,
        request: &Request,
        mut resource: Resource,
    ) -> Result<Resource, ApiError> {
        let check = self.check;
        let mut resource =
            ask(&request.node, move |node| Ok(check(node, &mut resource).map(|()| resource)))
                .await??;
        let name = resource.fields.get(self.known_by).and_then(Value::as_str).unwrap_or_default();
        resource.name = name.to_owned();
        request.write(Change::Resource(Box::new(resource.clone()))).await?;
        request.node.refresh().await?;
        Ok(resource)
    }

    /// Returns the path of a list, without `.json`.
    pub fn address(&self, account: model::AccountSid, parent: &str) -> String {
        format!("/2010-04-01/Accounts/{account}/{}", self.path.replace("{}", parent))
    }

    /// Renders one with these members.
    pub fn view(&self, resource: &Resource, members: &[&str]) -> Value {
        let base = format!("{}/{}", self.address(resource.account, &resource.parent), resource.sid);
        let links: Map<String, Value> = self
            .links
            .iter()
            .map(|(name, path)| ((*name).to_owned(), format!("{base}/{path}.json").into()))
            .collect();
        let mut view = Value::Object(resource.fields.clone());
        view["account_sid"] = resource.account.to_string().into();
        view["date_created"] = resource.date_created.rfc2822().to_string().into();
        view["date_updated"] = resource.date_updated.rfc2822().to_string().into();
        view["sid"] = resource.sid.clone().into();
        view["uri"] = format!("{base}.json").into();
        view["subresource_uris"] = Value::Object(links);
        if let Some((_, field)) = self.part_of {
            view[field] = resource.parent.clone().into();
        }
        if view["api_version"].is_null() {
            view["api_version"] = json!("2010-04-01");
        }
        ordered(view, members)
    }
}
