//! Phone numbers that an account can have.
//!
//! In development these are numbers that no telephone network gives to anybody. Sources: NANPA, 555-0100 to
//! 555-0199 of each area code; Ofcom, numbers for drama use; ACMA, numbers for use in creative works.

/// What kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberType {
    /// Of a town or region.
    Local,
    /// Of a mobile network.
    Mobile,
    /// That the called one pays for.
    TollFree,
}

impl NumberType {
    /// Returns Twilio's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Mobile => "mobile",
            Self::TollFree => "tollfree",
        }
    }
}

/// Numbers that follow each other.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberRange {
    /// The first one's digits, without `+`.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Their kind.
    pub number_type: NumberType,
    /// Two letters.
    pub country_code: String,
    /// The country's name.
    pub country: String,
    /// Where they belong to, if anywhere.
    pub place: Option<Locality>,
}

/// Where numbers belong to.
#[derive(Debug, Clone, PartialEq)]
pub struct Locality {
    /// A town.
    pub locality: String,
    /// A state, a province or a county.
    pub region: String,
    /// A postal code of it.
    pub postal_code: String,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// A number for the area, where the country has such; else empty.
    pub lata: String,
}

impl NumberRange {
    /// Returns the numbers in E.164.
    pub fn numbers(&self) -> impl Iterator<Item = String> + use<> {
        (self.first..self.first.saturating_add(self.count)).map(|number| format!("+{number}"))
    }

    /// Whether a number in E.164 is one of these.
    pub fn contains(&self, number: &str) -> bool {
        let digits = number.strip_prefix('+').and_then(|digits| digits.parse::<u64>().ok());
        digits
            .is_some_and(|number| number.checked_sub(self.first).is_some_and(|at| at < self.count))
    }

    /// Returns the three digits after the country's code, where it is 1; else nothing.
    pub fn area_code(&self) -> Option<String> {
        let digits = self.first.to_string();
        let area = digits.strip_prefix('1').filter(|rest| rest.len() == 10)?;
        Some(area[..3].to_owned())
    }
}

/// One row: first number, country, town, region, postal code, degrees north and east, area number.
type Row = (u64, &'static str, &'static str, &'static str, &'static str, f64, f64, &'static str);

#[rustfmt::skip]
const TOWNS: [Row; 16] = [
    (12_125_550_100, "US", "New York", "NY", "10001", 40.7506, -73.9972, "132"),
    (12_065_550_100, "US", "Seattle", "WA", "98101", 47.6114, -122.3305, "674"),
    (13_055_550_100, "US", "Miami", "FL", "33101", 25.7784, -80.1874, "460"),
    (13_125_550_100, "US", "Chicago", "IL", "60601", 41.8858, -87.6181, "358"),
    (14_155_550_100, "US", "San Francisco", "CA", "94103", 37.7726, -122.4099, "722"),
    (15_105_550_100, "US", "Oakland", "CA", "94601", 37.7765, -122.2167, "722"),
    (16_175_550_100, "US", "Boston", "MA", "02108", 42.3576, -71.0684, "128"),
    (18_085_550_100, "US", "Hilo", "HI", "96720", 19.7203, -155.0895, "834"),
    (14_165_550_100, "CA", "Toronto", "ON", "M5H 2N2", 43.6532, -79.3832, "888"),
    (15_145_550_100, "CA", "Montréal", "QC", "H3B 2Y5", 45.5017, -73.5673, "888"),
    (16_045_550_100, "CA", "Vancouver", "BC", "V6B 1A1", 49.2827, -123.1207, "888"),
    (442_079_460_000, "GB", "London", "London", "SW1A 1AA", 51.5014, -0.1419, ""),
    (441_214_960_000, "GB", "Birmingham", "West Midlands", "B1 1BB", 52.4795, -1.9026, ""),
    (441_614_960_000, "GB", "Manchester", "Greater Manchester", "M1 1AE", 53.4774, -2.2309, ""),
    (61_255_500_000, "AU", "Sydney", "NSW", "2000", -33.8688, 151.2093, ""),
    (61_355_500_000, "AU", "Melbourne", "VIC", "3000", -37.8136, 144.9631, ""),
];

/// Ranges of no town: first number, how many, kind, country.
const OTHERS: [(u64, u64, NumberType, &str); 6] = [
    (18_005_550_100, 100, NumberType::TollFree, "US"),
    (18_335_550_100, 100, NumberType::TollFree, "CA"),
    (447_700_900_000, 1_000, NumberType::Mobile, "GB"),
    (448_081_570_000, 1_000, NumberType::TollFree, "GB"),
    (61_491_570_156, 4, NumberType::Mobile, "AU"),
    (611_800_975_707, 5, NumberType::TollFree, "AU"),
];

fn country_of(code: &str) -> &'static str {
    match code {
        "US" => "United States",
        "CA" => "Canada",
        "GB" => "United Kingdom",
        _ => "Australia",
    }
}

/// Returns numbers that are reserved for fiction: nobody is ever rung by them.
pub fn fictional_numbers() -> Vec<NumberRange> {
    let town = |row: &Row| {
        let &(first, code, locality, region, postal_code, latitude, longitude, lata) = row;
        NumberRange {
            first,
            count: if matches!(code, "US" | "CA") { 100 } else { 1_000 },
            number_type: NumberType::Local,
            country_code: code.to_owned(),
            country: country_of(code).to_owned(),
            place: Some(Locality {
                locality: locality.to_owned(),
                region: region.to_owned(),
                postal_code: postal_code.to_owned(),
                latitude,
                longitude,
                lata: lata.to_owned(),
            }),
        }
    };
    let other = |&(first, count, number_type, code): &(u64, u64, NumberType, &str)| NumberRange {
        first,
        count,
        number_type,
        country_code: code.to_owned(),
        country: country_of(code).to_owned(),
        place: None,
    };
    TOWNS.iter().map(town).chain(OTHERS.iter().map(other)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_in_two_ranges() {
        let ranges = fictional_numbers();
        for range in &ranges {
            let numbers: Vec<String> = range.numbers().collect();
            assert_eq!(numbers.len() as u64, range.count);
            for number in numbers {
                let holders = ranges.iter().filter(|range| range.contains(&number)).count();
                assert_eq!(holders, 1, "{number}");
            }
        }
        assert_eq!(ranges[0].area_code().as_deref(), Some("212"));
        assert!(!ranges[0].contains("+12125550200") && !ranges[0].contains("12125550100"));
    }
}
