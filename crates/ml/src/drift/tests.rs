//! Drift measures against scipy's figures, a table worked by hand, and properties.

#![expect(clippy::float_cmp, reason = "some results are promised to the last bit")]

mod association;
mod degenerate;
mod ordered;
mod properties;
mod windows;

use super::*;

/// Knuth's generator; the figures below come from the same samples drawn in Python.
pub(super) struct Generator(pub(super) u64);

impl Generator {
    pub(super) fn uniform(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below `limit`")]
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        (self.uniform() * f64::from(limit)) as u32
    }
}

/// Sums of three uniform numbers, scaled and shifted.
pub(super) fn sample(seed: u64, rows: usize, shift: f64, scale: f64) -> Vec<f64> {
    let mut generator = Generator(seed);
    let mut bell = || generator.uniform() + generator.uniform() + generator.uniform();
    (0..rows).map(|_| bell() * scale + shift).collect()
}

/// Whole numbers from 0 to `limit` − 1.
pub(super) fn integers(seed: u64, rows: usize, limit: u32) -> Vec<f64> {
    let mut generator = Generator(seed);
    (0..rows).map(|_| f64::from(generator.below(limit))).collect()
}

/// By both exact ways, which agree.
pub(super) fn compare(reference: Values<'_>, current: Values<'_>) -> ColumnDrift {
    let sorted = Reference::new("column", reference).unwrap().compare_drawn(current).unwrap();
    let bucketed = Workspace::default().compare("column", reference, current).unwrap();
    windows::assert_alike(&sorted, &bucketed);
    sorted.0
}

pub(super) fn compare_numbers(reference: &[f64], current: &[f64]) -> ColumnDrift {
    compare(Values::Numeric(reference), Values::Numeric(current))
}

/// A categorical column given by names; `""` is missing.
pub(super) struct Named {
    codes: Vec<u32>,
    names: Vec<String>,
}

impl Named {
    pub(super) fn of(rows: &[(&str, usize)]) -> Named {
        let mut named = Named { codes: Vec::new(), names: Vec::new() };
        for (name, count) in rows {
            let mut code = MISSING;
            if !name.is_empty() {
                code = u32::try_from(named.names.len()).unwrap();
                named.names.push((*name).to_owned());
            }
            named.codes.extend(std::iter::repeat_n(code, *count));
        }
        named
    }

    pub(super) fn values(&self) -> Values<'_> {
        Values::Categorical { codes: &self.codes, names: &self.names }
    }
}

#[track_caller]
pub(super) fn assert_near(found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs() / expected.abs().max(1e-300);
    assert!(error <= tolerance, "{found:e}, expected {expected:e}, off by {error:e}");
}

struct Expected {
    ks: [f64; 2],
    wasserstein: f64,
    jensen_shannon: f64,
    psi: f64,
    chi_square: [f64; 3],
    degrees_of_freedom: u64,
}

fn check(reference: &[f64], current: &[f64], expected: &Expected) {
    let found = compare_numbers(reference, current);
    let ks = found.ks.unwrap();
    assert_near(ks.statistic, expected.ks[0], 1e-12);
    assert_near(ks.p_value, expected.ks[1], 1e-9);
    assert_near(found.wasserstein.unwrap(), expected.wasserstein, 1e-11);
    assert_near(found.jensen_shannon.unwrap(), expected.jensen_shannon, 1e-11);
    assert_near(found.psi.unwrap(), expected.psi, 1e-11);
    let chi_square = found.chi_square.unwrap();
    assert_near(chi_square.statistic, expected.chi_square[0], 1e-11);
    assert_near(chi_square.p_value, expected.chi_square[1], 1e-9);
    assert_near(chi_square.cramers_v, expected.chi_square[2], 1e-11);
    assert_eq!(chi_square.degrees_of_freedom, expected.degrees_of_freedom);
    assert_near(found.score, ks.statistic, 0.0);
}

// In this file, scipy 1.17.1 with numpy 2.4.6: ks_2samp(method="auto"), wasserstein_distance over
// numpy.std of the reference, jensenshannon(base=2) of numpy.histogram(bins=50) over both windows,
// chi2_contingency and contingency.association(method="cramer") of the bins at numpy.quantile.

#[test]
fn small_windows_measure_as_in_scipy() {
    check(
        &sample(1, 37, 0.0, 1.0),
        &sample(2, 23, 0.3, 1.0),
        &Expected {
            ks: [0.217_391_304_347_826_08, 0.436_682_358_236_219_87],
            wasserstein: 0.491_926_299_380_344_7,
            jensen_shannon: 0.825_508_551_151_864_7,
            psi: 1.731_856_089_074_134_8,
            chi_square: [
                10.383_506_035_679_948,
                0.320_339_289_624_280_65,
                0.416_002_925_383_943_84,
            ],
            degrees_of_freedom: 9,
        },
    );
}

#[test]
fn windows_of_equal_size_measure_as_in_scipy() {
    check(
        &sample(3, 500, 0.0, 1.0),
        &sample(4, 500, 0.05, 1.0),
        &Expected {
            ks: [0.068, 0.198_042_126_587_117_98],
            wasserstein: 0.104_472_360_231_924_91,
            jensen_shannon: 0.192_186_244_861_320_1,
            psi: 0.025_847_399_628_927_115,
            chi_square: [6.433_278_940_640_315, 0.695_891_911_924_034_4, 0.080_207_723_696_912_84],
            degrees_of_freedom: 9,
        },
    );
}

#[test]
fn windows_of_unequal_size_measure_as_in_scipy() {
    check(
        &sample(5, 1_000, 0.0, 1.0),
        &sample(6, 700, 0.02, 1.1),
        &Expected {
            ks: [0.167_142_857_142_857_15, 1.635_594_047_009_379e-10],
            wasserstein: 0.417_243_482_049_434_6,
            jensen_shannon: 0.240_921_965_035_763_02,
            psi: 0.183_492_508_372_878_12,
            chi_square: [
                74.659_348_295_482_4,
                1.844_941_851_578_506_5e-12,
                0.209_564_461_928_125_92,
            ],
            degrees_of_freedom: 9,
        },
    );
}

#[test]
fn tied_values_measure_as_in_scipy() {
    check(
        &integers(7, 900, 7),
        &integers(8, 650, 8),
        &Expected {
            ks: [0.115_384_615_384_615_39, 7.753_980_017_111_786e-5],
            wasserstein: 0.179_577_189_571_812,
            jensen_shannon: 0.250_558_873_330_439_6,
            psi: 0.841_148_446_488_824_1,
            chi_square: [
                114.254_809_028_250_53,
                1.200_886_269_470_144e-21,
                0.271_500_976_090_742_9,
            ],
            degrees_of_freedom: 7,
        },
    );
}

#[test]
fn two_values_measure_as_in_scipy() {
    let flags = |seed, rows, limit| -> Vec<f64> {
        integers(seed, rows, limit).iter().map(|value| value.min(1.0)).collect()
    };
    check(
        &flags(9, 900, 20),
        &flags(10, 650, 10),
        &Expected {
            ks: [0.046_495_726_495_726_496, 0.374_524_667_333_160_53],
            wasserstein: 0.215_621_631_006_642_14,
            jensen_shannon: 0.076_956_920_351_660_43,
            psi: 0.033_406_629_878_397_47,
            chi_square: [
                12.087_396_420_624_671,
                0.000_507_638_118_810_063_3,
                0.090_898_023_873_058_29,
            ],
            degrees_of_freedom: 1,
        },
    );
}

#[test]
fn ten_thousand_rows_still_have_an_exact_p_value() {
    check(
        &sample(11, 10_000, 0.0, 1.0),
        &sample(12, 9_999, 0.012, 1.0),
        &Expected {
            ks: [0.010_380_498_049_804_98, 0.647_297_333_667_728_3],
            wasserstein: 0.014_445_829_860_051_447,
            jensen_shannon: 0.048_222_340_103_487_187,
            psi: 0.001_912_525_485_305_303_5,
            chi_square: [9.559_817_164_342_823, 0.387_280_139_536_227_14, 0.021_863_548_635_916_56],
            degrees_of_freedom: 9,
        },
    );
}

#[test]
fn a_large_reference_measures_as_in_scipy() {
    check(
        &sample(13, 20_000, 0.0, 1.0),
        &sample(14, 2_000, 0.02, 1.0),
        &Expected {
            ks: [0.029_500_000_000_000_08, 0.082_823_089_533_252_79],
            wasserstein: 0.040_677_351_672_733_064,
            jensen_shannon: 0.082_858_663_492_721_24,
            psi: 0.008_074_799_066_886_353,
            chi_square: [
                15.143_052_688_435_782,
                0.087_080_770_453_819_96,
                0.026_235_864_322_470_51,
            ],
            degrees_of_freedom: 9,
        },
    );
}

#[test]
fn a_clear_shift_against_a_large_reference_measures_as_in_scipy() {
    check(
        &sample(15, 20_000, 0.0, 1.0),
        &sample(16, 2_000, 0.1, 1.0),
        &Expected {
            ks: [0.097_399_999_999_999_99, 1.829_584_500_281_649e-15],
            wasserstein: 0.241_405_205_679_411_07,
            jensen_shannon: 0.130_230_708_538_445_93,
            psi: 0.060_532_721_326_623_27,
            chi_square: [
                114.658_011_296_236_82,
                1.651_386_396_371_371_5e-20,
                0.072_192_297_277_427_4,
            ],
            degrees_of_freedom: 9,
        },
    );
}

#[test]
fn a_few_current_rows_measure_as_in_scipy() {
    check(
        &sample(17, 12_000, 0.0, 1.0),
        &sample(18, 60, 0.15, 1.0),
        &Expected {
            ks: [0.125_166_666_666_666_68, 0.280_075_667_797_480_17],
            wasserstein: 0.196_551_696_163_459_36,
            jensen_shannon: 0.377_303_078_359_548_24,
            psi: 0.245_193_309_708_681_83,
            chi_square: [
                10.946_230_838_046_738,
                0.279_412_564_321_483_76,
                0.030_127_191_453_010_183,
            ],
            degrees_of_freedom: 9,
        },
    );
}

#[test]
fn windows_without_overlap_measure_as_in_scipy() {
    check(
        &sample(19, 400, 0.0, 1.0),
        &sample(20, 300, 10.0, 1.0),
        &Expected {
            ks: [1.0, 1.618_325_523_027_843e-206],
            wasserstein: 19.725_812_785_665_18,
            jensen_shannon: 1.0,
            psi: 8.283_089_355_027_482,
            chi_square: [
                555.882_352_941_176_5,
                6.100_356_531_719_448_4e-114,
                0.891_132_788_679_006_8,
            ],
            degrees_of_freedom: 9,
        },
    );
}

#[test]
fn small_p_values_stay_exact_where_they_are_cheap() {
    check(
        &sample(21, 3_000, 0.0, 1.0),
        &sample(22, 2_500, 0.15, 1.0),
        &Expected {
            ks: [0.143_933_333_333_333_33, 4.348_096_153_573_015e-25],
            wasserstein: 0.336_531_703_428_169_74,
            jensen_shannon: 0.159_423_671_591_461_76,
            psi: 0.107_449_076_955_228_8,
            chi_square: [
                144.141_150_825_854_9,
                1.438_672_689_444_938_6e-26,
                0.161_887_250_790_146_54,
            ],
            degrees_of_freedom: 9,
        },
    );
}

#[test]
fn categories_measure_as_in_scipy() {
    // Two categories (with Yates's correction), four with a new and a vanished one, and a large table.
    for (before, after, chi_square, degrees_of_freedom, jensen_shannon, psi) in [
        (
            &[12, 30][..],
            &[25, 21][..],
            [4.975_255_123_592_722, 0.025_712_411_249_903_398, 0.260_819_364_045_332_7],
            1,
            0.223_654_598_222_790_1,
            0.281_128_763_598_047_95,
        ),
        (
            &[50, 30, 20, 0],
            &[40, 35, 0, 9],
            [29.326_170_126_170_126, 1.912_438_499_880_732e-6, 0.399_225_950_285_498_57],
            3,
            0.400_826_004_429_446_16,
            2.305_718_602_310_351_5,
        ),
        (
            &[5_000, 3_000, 2_000],
            &[480, 330, 190],
            [3.889_250_714_568_181, 0.143_040_802_495_678_52, 0.018_803_410_509_238_092],
            2,
            0.027_480_133_205_535_474,
            0.004_188_678_228_410_360_4,
        ),
    ] {
        let column = |counts: &[usize]| {
            let names = ["a", "b", "c", "d"];
            Named::of(&names.into_iter().zip(counts.iter().copied()).collect::<Vec<_>>())
        };
        let found = compare(column(before).values(), column(after).values());
        let test = found.chi_square.unwrap();
        assert_near(test.statistic, chi_square[0], 1e-12);
        assert_near(test.p_value, chi_square[1], 1e-10);
        assert_near(test.cramers_v, chi_square[2], 1e-12);
        assert_eq!(test.degrees_of_freedom, degrees_of_freedom);
        assert_near(found.jensen_shannon.unwrap(), jensen_shannon, 1e-11);
        assert_near(found.psi.unwrap(), psi, 1e-12);
        assert_eq!(found.association, Some(found.score));
        assert_eq!((found.ks, found.wasserstein), (None, None));
    }
}

/// Worked by hand. Reference 1 … 20: the deciles are 2.9, 4.8, 6.7, 8.6, 10.5, 12.4, 14.3, 16.2 and
/// 18.1, so two values (share 0.1) lie in each bin. Current: 1 ×1, 4 ×2, 6 ×1, 8 ×1, 10 ×1, 12 ×1,
/// 14 ×1, 16 ×1, 19 ×1, that is 0.1, 0.2, six times 0.1, 0 (floored at 0.0001) and 0.1. Only the
/// second and the ninth bin count: (0.2 − 0.1) ln 2 + (0.0001 − 0.1) ln 0.001
/// = 0.069314718 + 0.690084752 = 0.759399470.
#[test]
fn stability_index_agrees_with_a_table_worked_by_hand() {
    let reference = (1..=20).map(f64::from).collect::<Vec<_>>();
    let current = [1.0, 4.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 19.0];
    let found = compare_numbers(&reference, &current);
    assert!((found.psi.unwrap() - 0.759_399_470).abs() < 1e-9, "{:?}", found.psi);
}
