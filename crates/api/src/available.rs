//! The AvailablePhoneNumber resource: what of the stock is nobody's yet.
//!
//! Source: Twilio API 2010-04-01, AvailablePhoneNumber resources.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use model::Kind;
use node::{Locality, NumberRange, NumberType};
use serde_json::{Map, Value, json};

use crate::error::{ApiError, code};
use crate::form::Form;
use crate::numbers::written;
use crate::paging::Asked;
use crate::{Answer, Request};

/// The kinds of number that there are below a country: the link, the path, and ours.
const TYPES: [(&str, &str, NumberType); 3] = [
    ("local", "Local", NumberType::Local),
    ("mobile", "Mobile", NumberType::Mobile),
    ("toll_free", "TollFree", NumberType::TollFree),
];
/// How far `NearNumber` and `NearLatLong` reach where `Distance` does not say, in miles, and at most.
const DISTANCE: u64 = 25;
const DISTANCE_MAX: u64 = 500;

/// `GET .../AvailablePhoneNumbers.json`
pub async fn countries(request: Request) -> Answer {
    Asked::read(&request.form)?;
    let mut codes: Vec<&str> = Vec::new();
    for range in request.node.stock() {
        if !codes.contains(&range.country_code.as_str()) {
            codes.push(&range.country_code);
        }
    }
    let countries: Vec<Value> = codes.iter().filter_map(|code| view(&request, code)).collect();
    let uri = format!("{}.json", base(&request));
    Ok((StatusCode::OK, json!({"countries": countries, "uri": uri})))
}

/// `GET .../AvailablePhoneNumbers/{CountryCode}.json`
pub async fn country(request: Request) -> Answer {
    let found = view(&request, &request.variables[0]).ok_or_else(ApiError::not_found)?;
    Ok((StatusCode::OK, found))
}

fn base(request: &Request) -> String {
    format!("/2010-04-01/Accounts/{}/AvailablePhoneNumbers", request.account)
}

fn view(request: &Request, code: &str) -> Option<Value> {
    let ranges = || request.node.stock().iter().filter(|range| range.country_code == code);
    let country = ranges().next()?.country.clone();
    let base = format!("{}/{code}", base(request));
    let links: Map<String, Value> = TYPES
        .iter()
        .filter(|(_, _, kind)| ranges().any(|range| range.number_type == *kind))
        .map(|(name, path, _)| ((*name).to_owned(), format!("{base}/{path}.json").into()))
        .collect();
    Some(json!({
        "beta": false,
        "country": country,
        "country_code": code,
        "subresource_uris": links,
        "uri": format!("{base}.json"),
    }))
}

/// `GET .../AvailablePhoneNumbers/{CountryCode}/Local.json` and its like.
pub async fn of_type(request: Request, number_type: NumberType) -> Answer {
    let form = &request.form;
    let country = &request.variables[0];
    if view(&request, country).is_none() {
        return Err(ApiError::not_found());
    }
    let size = Asked::read(form)?.size;
    let wanted = Wanted::read(form, request.node.stock())?;
    let kind = Kind::IncomingPhoneNumber;
    let taken = request.ask(move |node| node.store().resources_of_kind(kind)).await?;
    let taken: BTreeSet<String> = taken.into_iter().map(|number| number.name).collect();
    let ranges = request.node.stock().iter().filter(|range| {
        range.country_code == *country && range.number_type == number_type && wanted.takes(range)
    });
    let found = ranges.flat_map(|range| range.numbers().map(move |number| (number, range)));
    let found = found.filter(|(number, _)| wanted.matches(number) && !taken.contains(number));
    let numbers: Vec<Value> = found.take(size).map(|(number, range)| one(&number, range)).collect();
    let (_, path, _) = TYPES.iter().find(|(_, _, kind)| *kind == number_type).unwrap_or(&TYPES[0]);
    let uri = format!("{}/{country}/{path}.json", base(&request));
    Ok((StatusCode::OK, json!({"available_phone_numbers": numbers, "uri": uri})))
}

fn one(number: &str, range: &NumberRange) -> Value {
    let place = range.place.as_ref();
    let text = |field: fn(&Locality) -> &String| {
        place.map(field).filter(|text| !text.is_empty()).cloned().map_or(Value::Null, Value::from)
    };
    let degrees = |field: fn(&Locality) -> f64| place.map(|place| format!("{:.6}", field(place)));
    json!({
        "address_requirements": "none",
        "beta": false,
        "capabilities": {"mms": true, "sms": true, "voice": true},
        "friendly_name": written(number),
        "iso_country": range.country_code,
        "lata": text(|place| &place.lata),
        "latitude": degrees(|place| place.latitude),
        "locality": text(|place| &place.locality),
        "longitude": degrees(|place| place.longitude),
        "phone_number": number,
        "postal_code": text(|place| &place.postal_code),
        "rate_center": place.map(|place| place.locality.to_uppercase()),
        "region": text(|place| &place.region),
    })
}

/// What a place is called, in lower case.
type NameOf = fn(&Locality) -> String;

/// What of the stock is wanted.
struct Wanted {
    area: Option<String>,
    pattern: Option<Vec<char>>,
    places: Vec<(NameOf, String)>,
    near: Option<(f64, f64, f64)>,
    anything: bool,
}

impl Wanted {
    fn read(form: &Form, stock: &[NumberRange]) -> Result<Self, ApiError> {
        let mut anything = true;
        for (name, can) in [
            ("VoiceEnabled", true),
            ("SmsEnabled", true),
            ("MmsEnabled", true),
            ("FaxEnabled", false),
        ] {
            anything &= form.flag(name)?.is_none_or(|wanted| wanted == can);
        }
        for name in ["AllAddress", "LocalAddress", "ForeignAddress"] {
            form.flag(&format!("Exclude{name}Required"))?;
        }
        // None of ours is new to the network; with `Beta` there are others as well.
        form.flag("Beta")?;
        let area = form.number("AreaCode", 200..=999, code::BAD_REQUEST)?;
        let pattern = form.filled("Contains").map(pattern).transpose()?;
        let same: [(&str, NameOf); 5] = [
            ("InRegion", |place| place.region.to_lowercase()),
            ("InPostalCode", |place| place.postal_code.to_lowercase()),
            ("InLocality", |place| place.locality.to_lowercase()),
            ("InRateCenter", |place| place.locality.to_lowercase()),
            ("InLata", |place| place.lata.clone()),
        ];
        let places = same
            .into_iter()
            .filter_map(|(name, of)| Some((of, form.filled(name)?.to_lowercase())))
            .collect();
        let area = area.map(|area| area.to_string());
        Ok(Self { area, pattern, places, near: near(form, stock)?, anything })
    }

    fn takes(&self, range: &NumberRange) -> bool {
        let place = range.place.as_ref();
        let is_near = self.near.is_none_or(|(north, east, miles)| {
            place.is_some_and(|place| {
                distance_miles((north, east), (place.latitude, place.longitude)) <= miles
            })
        });
        self.anything
            && is_near
            && self.area.as_ref().is_none_or(|area| range.area_code().as_ref() == Some(area))
            && self
                .places
                .iter()
                .all(|(of, wanted)| place.is_some_and(|place| of(place) == *wanted))
    }

    fn matches(&self, number: &str) -> bool {
        let Some(pattern) = &self.pattern else { return true };
        let digits: Vec<char> = number.chars().collect();
        digits.windows(pattern.len()).any(|part| {
            part.iter().zip(pattern).all(|(digit, wanted)| *wanted == '*' || wanted == digit)
        })
    }
}

/// Reads `Contains`: digits, `*` for any of them, and letters for theirs on the keys of a telephone.
fn pattern(text: &str) -> Result<Vec<char>, ApiError> {
    const KEYS: &str = "22233344455566677778889999";
    let key = |letter: char| match letter.to_ascii_lowercase() {
        letter @ 'a'..='z' => KEYS.chars().nth((letter as u8 - b'a').into()),
        '0'..='9' | '*' | '+' => Some(letter),
        _ => None,
    };
    let read: Option<Vec<char>> = text.chars().map(key).collect();
    read.filter(|pattern| (2..=16).contains(&pattern.len())).ok_or_else(|| {
        let message = format!("{text:?} is not 2 to 16 digits, letters and *");
        ApiError::coded(code::INVALID_NUMBER, "Contains", &message)
    })
}

/// Reads `NearLatLong` or `NearNumber`, and how far that reaches.
fn near(form: &Form, stock: &[NumberRange]) -> Result<Option<(f64, f64, f64)>, ApiError> {
    let miles = form.number("Distance", 0..=DISTANCE_MAX, code::BAD_REQUEST)?.unwrap_or(DISTANCE);
    let miles = u32::try_from(miles).map_or(f64::MAX, f64::from);
    if let Some(given) = form.filled("NearLatLong") {
        let told = || ApiError::invalid("NearLatLong", &format!("{given:?} is no place"));
        let (north, east) = given.split_once(',').ok_or_else(told)?;
        let degrees = |text: &str, most: f64| {
            text.trim().parse().ok().filter(|degrees: &f64| degrees.abs() <= most).ok_or_else(told)
        };
        return Ok(Some((degrees(north, 90.0)?, degrees(east, 180.0)?, miles)));
    }
    let Some(given) = form.filled("NearNumber") else { return Ok(None) };
    let number = node::e164(given).unwrap_or_default();
    let place = stock.iter().find(|range| range.contains(&number)).and_then(|r| r.place.as_ref());
    let unknown = || ApiError::invalid("NearNumber", &format!("{given:?} is of no known place"));
    let place = place.ok_or_else(unknown)?;
    Ok(Some((place.latitude, place.longitude, miles)))
}

/// Returns how far two places are apart on a sphere of the earth's size.
fn distance_miles(one: (f64, f64), other: (f64, f64)) -> f64 {
    const RADIUS_MILES: f64 = 3_958.8;
    let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
    let (north, south) = (one.0.to_radians(), other.0.to_radians());
    let chord = half(one.0, other.0) + north.cos() * south.cos() * half(one.1, other.1);
    2.0 * RADIUS_MILES * chord.sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_their_keys_and_stars_any_digit() {
        let of = |text: &str| pattern(text).unwrap().into_iter().collect::<String>();
        assert_eq!(of("555STORM"), "55578676");
        assert_eq!(of("415***0100"), "415***0100");
        assert!(pattern("4").is_err() && pattern("4_5").is_err());
    }

    #[test]
    fn oakland_is_near_san_francisco_and_boston_is_not() {
        let francisco = (37.7726, -122.4099);
        assert!((8.0..12.0).contains(&distance_miles(francisco, (37.7765, -122.2167))));
        assert!(distance_miles(francisco, (42.3576, -71.0684)) > 2_500.0);
    }
}
