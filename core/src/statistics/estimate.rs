//! Estimates over the users of a variant: shares, means, ratios, and means with the part taken out that the time before the
//! experiment predicts (CUPED; Deng, Xu, Kohavi and Walker, "Improving the Sensitivity of Online Controlled Experiments by
//! Utilizing Pre-Experiment Data", 2013).

/// Sums of one value over users.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sums {
    /// Number of users.
    pub users: u64,
    /// Sum of the values.
    pub sum: f64,
    /// Sum of the squares of the values.
    pub squares: f64,
}

impl Sums {
    /// Adds the value of one more user.
    pub fn add(&mut self, value: f64) {
        self.users += 1;
        self.sum += value;
        self.squares += value * value;
    }

    fn mean(&self) -> f64 {
        if self.users == 0 { 0.0 } else { self.sum / self.users as f64 }
    }

    fn variance(&self) -> f64 {
        sample_covariance(self.squares, self.sum, self.sum, self.users)
    }

    fn joined(&self, other: &Self) -> Self {
        Self {
            users: self.users + other.users,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }
}

/// Sums of two values of the same users: the second is the denominator of a ratio, or the first value as it was before the
/// experiment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PairedSums {
    /// The first value.
    pub first: Sums,
    /// The second value.
    pub second: Sums,
    /// Sum of the products of the two values.
    pub products: f64,
}

impl PairedSums {
    /// Adds the values of one more user.
    pub fn add(&mut self, first: f64, second: f64) {
        self.first.add(first);
        self.second.add(second);
        self.products += first * second;
    }

    fn covariance(&self) -> f64 {
        sample_covariance(self.products, self.first.sum, self.second.sum, self.first.users)
    }

    fn joined(&self, other: &Self) -> Self {
        Self {
            first: self.first.joined(&other.first),
            second: self.second.joined(&other.second),
            products: self.products + other.products,
        }
    }
}

/// Returns the covariance of a sample from its sums; 0 below two users.
fn sample_covariance(products: f64, first: f64, second: f64, users: u64) -> f64 {
    if users < 2 {
        return 0.0;
    }
    let count = users as f64;
    (products - first * second / count) / (count - 1.0)
}

/// The mean of a value in one variant, with the variance of a single user's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Number of users.
    pub users: u64,
    /// The mean.
    pub mean: f64,
    /// The variance of one user's value.
    pub variance: f64,
    /// The mean without the correction by the time before. Relative differences are relative to it.
    pub uncorrected_mean: f64,
}

impl Estimate {
    fn new(users: u64, mean: f64, variance: f64) -> Self {
        Self { users, mean, variance, uncorrected_mean: mean }
    }

    /// Estimates the share of users with an event. `None` without users, or with more events than users.
    pub fn of_share(with_event: u64, users: u64) -> Option<Self> {
        if users == 0 || with_event > users {
            return None;
        }
        let share = with_event as f64 / users as f64;
        Some(Self::new(users, share, share * (1.0 - share)))
    }

    /// Estimates the mean of a value per user. `None` below two users.
    pub fn of_mean(sums: &Sums) -> Option<Self> {
        (sums.users >= 2).then(|| Self::new(sums.users, sums.mean(), sums.variance()))
    }

    /// Estimates the first value by the second, over all users together, by the delta method: requests of one user are not
    /// independent, users are. `None` below two users, or if the second value is 0.
    pub fn of_ratio(sums: &PairedSums) -> Option<Self> {
        let (first, second) = (sums.first.mean(), sums.second.mean());
        if sums.first.users < 2 || second == 0.0 {
            return None;
        }
        let ratio = first / second;
        let variance =
            sums.first.variance() - 2.0 * ratio * sums.covariance() + ratio * ratio * sums.second.variance();
        Some(Self::new(sums.first.users, ratio, variance / (second * second)))
    }

    /// Estimates the mean of the first value in two variants, less the part that the second predicts. Both variants use one
    /// slope, that of all their users, so that the difference stays unbiased. `None` below two users in either.
    pub fn of_corrected_means(control: &PairedSums, treatment: &PairedSums) -> Option<(Self, Self)> {
        let all = control.joined(treatment);
        let spread = all.second.variance();
        let slope = if spread > 0.0 { all.covariance() / spread } else { 0.0 };
        Some((corrected(control, slope)?, corrected(treatment, slope)?))
    }
}

fn corrected(sums: &PairedSums, slope: f64) -> Option<Estimate> {
    if sums.first.users < 2 {
        return None;
    }
    let variance =
        sums.first.variance() + slope * slope * sums.second.variance() - 2.0 * slope * sums.covariance();
    Some(Estimate {
        users: sums.first.users,
        mean: sums.first.mean() - slope * sums.second.mean(),
        variance,
        uncorrected_mean: sums.first.mean(),
    })
}
