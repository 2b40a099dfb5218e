use super::*;

const EXAMPLE: &str = include_str!("../../../../docs/sidetone.toml");

fn read(text: &str) -> (Config, Vec<String>) {
    let mut config = Config { values: Values::of(SETTINGS), lists: BTreeMap::new() };
    let mut faults = Vec::new();
    config.read_file(text, "s.toml", &mut faults);
    (config, faults)
}

/// What the example says in comments that are settings: `#` and no space.
fn uncommented() -> String {
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_names_every_setting_with_its_default() {
    let (config, faults) = read(EXAMPLE);
    assert_eq!(faults, Vec::<String>::new());
    for setting in SETTINGS {
        let (value, origin) = &config.values.0[setting.name];
        assert_eq!(*origin, Origin::File, "{} is not in docs/sidetone.toml", setting.name);
        assert_eq!(*value, setting.default.value(), "{}", setting.name);
        let name = setting.name.rsplit('.').next().unwrap();
        let says = format!("# {}.", setting.says);
        assert!(EXAMPLE.contains(&says), "{name} is not explained by {says:?}");
    }
    for (list, _) in LISTS {
        assert!(config.list(list).is_empty(), "{list}");
    }
}

#[test]
fn the_entries_of_lists_in_the_example_can_be_uncommented() {
    let (config, faults) = read(&uncommented());
    assert_eq!(faults, Vec::<String>::new());
    for (list, table) in LISTS {
        let entry = config.list(list).first().unwrap_or_else(|| panic!("no example of {list}"));
        for setting in *table {
            let origin = &entry.0[setting.name].1;
            assert_eq!(*origin, Origin::File, "{} of {list} is not in the example", setting.name);
        }
    }
    crate::settings::Settings::of(&config).unwrap();
}

#[track_caller]
fn check(text: &str, fault: &str) {
    let (_, faults) = read(text);
    assert_eq!(faults, [fault.to_owned()], "{text}");
}

#[test]
fn what_is_unknown_or_wrong_is_told_with_line_column_and_suggestion() {
    check("\nhtttp = 1", "s.toml:2:1: unknown setting \"htttp\"; did you mean \"http\"?");
    check(
        "[callbacks]\n  delivry = \"\"",
        "s.toml:2:3: unknown setting \"callbacks.delivry\"; did you mean \"callbacks.delivery\"?",
    );
    check(
        "delivery = \"x\"",
        "s.toml:1:1: unknown setting \"delivery\"; did you mean \"callbacks.delivery\"?",
    );
    check(
        "auth_token_flie = \"x\"",
        "s.toml:1:1: unknown setting \"auth_token_flie\"; did you mean \"auth_token_file\"?",
    );
    check("[[number]]", "s.toml:1:3: unknown setting \"number\"; did you mean \"numbers\"?");
    check(
        "[[numbers]]\nfrist = \"+1\"",
        "s.toml:2:1: unknown setting \"frist\"; did you mean \"first\"?",
    );
    check("colour = 1", "s.toml:1:1: unknown setting \"colour\"");
    check(
        "http = \"here\"",
        "s.toml:1:8: http: \"here\" is not an address and a port such as \"127.0.0.1:8080\"",
    );
    check("guard = true", "s.toml:1:9: guard is a section: [guard]");
    check("numbers = 1", "s.toml:1:11: numbers is a list of entries: [[numbers]]");
    check("log = 1.5", "s.toml:1:7: log: it is neither text, number, flag nor list");
    let (_, faults) = read("a = 1\nb = ");
    assert_eq!(faults.len(), 1, "what is no TOML: {faults:?}");
    assert!(faults[0].starts_with("s.toml:2:"), "{faults:?}");
}

#[test]
fn a_flag_goes_before_a_variable_and_that_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.toml");
    std::fs::write(&file, "http = \"127.0.0.1:1\"\nsip = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:1\"")
        .unwrap();
    let variable = |name: &str| (format!("SIDETONE_{name}"), "127.0.0.1:2".to_owned());
    let environment = [variable("HTTP"), variable("SIP"), variable("TEST_PYTHON")];
    let flags = Flags(vec![("http", "127.0.0.1:3".to_owned())]);
    let config = Config::load(Some(&file), environment.into_iter(), &flags).unwrap();
    let port = |name| config.values.address(name).port();
    assert_eq!([port("http"), port("sip"), port("admin")], [3, 2, 1]);
    let shown = config.shown();
    for line in ["http = \"127.0.0.1:3\"  # --http", "# SIDETONE_SIP", "# file", "# default"] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
    let (_, faults) = read(&shown);
    assert_eq!(faults, Vec::<String>::new(), "what is shown is a file itself");
    let others = [("SIDETONE_USED".to_owned(), String::new())].into_iter();
    assert!(Config::load(None, others, &Flags::default()).is_ok(), "it is of sidetone dev");
    let typo = [("SIDETONE_HTPT".to_owned(), String::new())].into_iter();
    let told = Config::load(None, typo, &Flags::default()).unwrap_err();
    assert_eq!(told, "SIDETONE_HTPT is no setting; did you mean SIDETONE_HTTP?");
}

#[test]
fn a_secret_comes_from_a_file_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let token = "0123456789abcdef0123456789abcdef";
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let named = format!("auth_token_file = {:?}", file.display().to_string());
    let (config, faults) = read(&named);
    assert_eq!((config.values.text("auth_token"), faults), (Some(token), Vec::new()));
    assert!(config.shown().contains("auth_token = \"(hidden)\"  # file"));
    assert!(!config.shown().contains(token));
    let (_, faults) = read(&format!("{named}\nauth_token = \"x\""));
    assert!(faults[0].contains("cannot both be set"), "{faults:?}");
    let (_, faults) = read("auth_token_file = \"/nowhere/at/all\"");
    assert!(faults[0].contains("/nowhere/at/all"), "{faults:?}");
}

#[test]
fn every_name_is_one_name_in_all_places_and_no_two_are_the_same() {
    let mut flags: Vec<String> = SETTINGS.iter().map(Setting::flag).collect();
    let variables: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    assert!(variables.contains(&"SIDETONE_CALLBACKS_DELIVERY".to_owned()));
    assert!(flags.contains(&"callbacks-delivery".to_owned()));
    flags.sort();
    flags.dedup();
    assert_eq!(flags.len(), SETTINGS.len());
    for (name, table) in LISTS.iter().chain([&("", SETTINGS)]) {
        for setting in *table {
            let fits = setting.kind.check(setting.default.value(), setting.default.is_unset());
            assert!(fits.is_ok(), "the default of {} in {name:?}: {fits:?}", setting.name);
        }
    }
}
