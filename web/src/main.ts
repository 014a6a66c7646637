import "./base.css";
import "./views/app";
